#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "schema/load/context.h"

namespace skiff::schema {

// One model: the project's own, or one that is included.
struct Level {
  std::string directory;    // Absolute: what file names in it start from.
  std::string base;         // What its paths are resolved against; relative when included.
  Environment environment;  // For interpolation.
  std::vector<std::string> including;  // Files on the way here, for cycles.
  bool included = false;

  Lookup lookup() const;
};

// Reads files into one merged, canonical tree (compose.md 1.10, the pipeline for each file).
class ModelLoader {
 public:
  explicit ModelLoader(Context& context) : context_(context) {}

  // The files are absolute paths, or "-". An empty mapping when nothing could be read.
  Node Load(const std::vector<std::string>& files, Level& level);
  // Name of the project as the files say it, interpolated; "" when none does.
  std::string NameInFiles(const std::vector<std::string>& files, const Lookup& lookup);
  // Whether the first document of any file has a name (compose-go: namedInYaml).
  bool HasName(const std::vector<std::string>& files);

 private:
  struct Parsed {
    uint32_t file = 0;
    bool readable = false;
    bool consumed = false;  // Its errors are in the diagnostics.
    bool taken = false;     // `documents` went into a model; Parse reads them again.
    std::vector<Node> documents;
    Diagnostics found;
  };
  // The services of a file that others extend, each prepared when it is first asked for.
  struct Scope {
    std::string file;  // As the user knows it.
    Node services = Node::Mapping();
    std::set<std::string> prepared;
    bool own = true;  // The document being loaded: its services are prepared already.
  };
  struct Link {
    std::string file, service;
    SourceSpan place;
  };

  Parsed& Parse(const std::string& file);
  void AddDocument(Node document, Level& level, const std::string& file, Node& model);
  bool CheckTop(Node& document);

  void ApplyIncludes(Node& document, Level& level);
  void Include(Node& entry, const Where& where, Node& document, Level& level);
  bool ReadIncludedEnvironment(const Node& entry, const Where& where, const Level& level,
                               Level& inner);

  void ApplyExtends(Node& document, Level& level, const std::string& file);
  bool ExtendService(Scope& scope, const std::string& name, Level& level, std::vector<Link>& chain);
  Scope* ExtendedFile(Node& file, const Where& where, Level& level);
  bool Prepare(Scope& scope, const std::string& name, const std::string& base);

  Context& context_;
  std::map<std::string, std::unique_ptr<Parsed>> parsed_;
  struct Extended {
    std::unique_ptr<Scope> scope;
    std::string base;
  };
  std::map<std::string, Extended> extended_;
};

// The directory `to` as seen from `from`, both absolute and clean.
std::string RelativePath(const std::string& from, const std::string& to);

}  // namespace skiff::schema
