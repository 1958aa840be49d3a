#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/source.h"
#include "schema/load.h"
#include "schema/spec/types.h"
#include "schema/text/template.h"
#include "schema/tree.h"

namespace skiff::schema {

// Where a walk is in the tree; lives on the stack of the walk.
struct Where {
  const Where* up = nullptr;
  std::string_view key;
  int index = -1;

  Where Key(std::string_view child) const { return {this, child, -1}; }
  Where Index(size_t child) const { return {this, {}, static_cast<int>(child)}; }
  std::string Text() const;  // "services.web.ports.0"; "" at the top.
};

using Environment = std::map<std::string, std::string>;

// What all passes of one load share. Messages have the form "PATH: what is wrong".
class Context {
 public:
  Context(const LoadOptions& load_options, SourceMap& source_map, Diagnostics& found)
      : options(load_options), sources(source_map), diagnostics(found) {}

  const LoadOptions& options;
  SourceMap& sources;
  Diagnostics& diagnostics;

  // Bytes that values with variables may still have, of all files together.
  size_t interpolation_left = 64u << 20;
  bool interpolation_over = false;  // Reported.

  // Reports at the node and marks it bad; further remarks may be added to the result.
  Error& Wrong(Node& node, const Where& where, std::string message);
  // Reports at a place within the text of the node, when that is known; else at the node.
  Error& WrongPart(Node& node, const Where& where, std::string message, size_t offset,
                   size_t length);
  Error& WrongKey(SourceSpan key, const Where& where, std::string message);
  void Warn(SourceSpan place, const Where& where, std::string message, std::string note = "");
  void Report(Error error);
  bool HasErrors() const { return !errors_.empty() || diagnostics.HasErrors(); }

  bool Exists(const std::string& path) const { return KindOf(path) != Files::Kind::kAbsent; }
  Files::Kind KindOf(const std::string& path) const { return options.files_seen->KindOf(path); }
  // Reads a file into the source map; the name is shortened below the working directory.
  Result<uint32_t> ReadFile(const std::string& path);

  // The file at an address (IsRemoteAddress), absolute.
  Result<std::string> Obtain(const std::string& address);

  // Notes that lead to a file that others pull in: added to each diagnostic in it.
  void SetOrigin(uint32_t file, Note note) { origins_.emplace(file, std::move(note)); }
  // After loading: the remarks of SetOrigin are put into the diagnostics.
  Diagnostics TakeFinished();

 private:
  Error& Add(Error error);

  std::map<uint32_t, Note> origins_;
  std::vector<Error> errors_;
};

// A part of the text of a node, when the file has it verbatim; else the node's place.
SourceSpan PartOf(const Node& node, size_t offset, size_t length);
// "a string", "a list", ...
std::string_view KindWords(Node::Kind kind);
std::string AcceptWords(const Type& type);
// As DidYouMean; a word of one or two letters resembles too much.
std::string NearName(std::string_view word, const std::vector<std::string_view>& candidates);

// ---- the passes, in their order (compose.md 1.10)

// Replaces variables in all values and casts the results where the attribute has a type.
void Interpolate(Context& context, Node& document, const Lookup& lookup);
// Kinds, unknown keys, ranges, syntax of single values. Of one file, before merging.
void CheckValues(Context& context, Node& node, const Type& type, const Where& where);
// Infinite numbers and NaN, which JSON cannot say: nowhere in the tree, extensions included.
void CheckFinite(Context& context, Node& node, const Where& where);
// Replaces short syntax by the long one; removes repeated items.
void Canonicalise(Context& context, Node& node, const Type& type, const Where& where);
void RemoveRepeated(Node& list, const Type& type);
// compose-spec: merge. `over` is left in an unspecified state.
void Merge(Context& context, Node& base, Node& over, const Type& type, const Where& where);
// Turns the marks of !reset and !override off, after they have acted.
void ClearTags(Node& node);
// What only the merged model shows: required keys, nulls, repeated items.
void CheckMerged(Context& context, Node& node, const Type& type, const Where& where);
void SetDefaults(Node& model);
void CheckModel(Context& context, Node& model);
// `base` is absolute, or relative for files that are included or extended.
void ResolvePaths(Context& context, Node& node, const Type& type, const Where& where,
                  const std::string& base);
void ResolveBareEnvironment(Node& model, const Environment& environment);
void Normalise(Node& model, const std::string& project_name, const Environment& environment);
// The model as docker compose prints it: types applied, empty values left out.
Node Finish(Context& context, const Node& node, const Type& type, const Where& where);

}  // namespace skiff::schema
