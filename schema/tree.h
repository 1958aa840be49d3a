#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace skiff::schema {

struct Entry;

// One value of a Compose file with its place. A plain value type: copying copies the subtree, so an
// alias, an extended service and an included file are independent of where they came from while
// their spans still point there.
class Node {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInt, kFloat, kString, kSequence, kMapping };
  // compose-spec: merge: `!reset` removes what lower files said, `!override` replaces it whole.
  enum class Tag : uint8_t { kNone, kReset, kOverride };
  // Fields that one of the two output formats of docker compose leaves out.
  enum class Output : uint8_t { kBoth, kJsonOnly, kYamlOnly };

  Kind kind = Kind::kNull;
  Tag tag = Tag::kNone;
  Output output = Output::kBoth;
  // Bits: a large file has a hundred thousand nodes.
  bool interpolated : 1 = false;  // The text differs from what the file says at `span`.
  bool is_unsigned : 1 = false;   // `integer` holds a number past INT64_MAX.
  bool literal : 1 = false;       // The bytes at `span` are `text` itself: parts of it have places.
  bool table : 1 = false;         // Keys are the user's: output sorts them.
  bool bad : 1 = false;           // Reported already; later passes leave it alone.
  SourceSpan span;
  union {
    int64_t integer = 0;
    double real;
    bool boolean;
  };
  std::string text;            // Of a scalar: its value as text ("" of null).
  std::vector<Entry> entries;  // Of a sequence (keys empty) or a mapping (in the file's order).

  Node() = default;
  static Node Null(SourceSpan where = {});
  static Node Bool(bool value, SourceSpan where = {});
  static Node Int(int64_t value, SourceSpan where = {});
  static Node Float(double value, SourceSpan where = {});
  static Node String(std::string value, SourceSpan where = {});
  static Node Sequence(SourceSpan where = {});
  static Node Mapping(SourceSpan where = {});

  bool IsNull() const { return kind == Kind::kNull; }
  bool IsBool() const { return kind == Kind::kBool; }
  bool IsInt() const { return kind == Kind::kInt; }
  bool IsNumber() const { return kind == Kind::kInt || kind == Kind::kFloat; }
  bool IsString() const { return kind == Kind::kString; }
  bool IsSequence() const { return kind == Kind::kSequence; }
  bool IsMapping() const { return kind == Kind::kMapping; }
  bool IsScalar() const { return !IsSequence() && !IsMapping(); }

  // The value of a key of a mapping, or null. Linear; see KeyIndex for mass look-ups.
  const Node* Find(std::string_view key) const;
  Node* Find(std::string_view key);
  const Entry* FindEntry(std::string_view key) const;
  // Replaces or appends.
  Node& Set(std::string_view key, Node value, SourceSpan key_span = {});
  void Erase(std::string_view key);
  Node& Append(Node value);

  // The text of a string child, or "" (also when it is absent or no string).
  std::string_view Text(std::string_view key) const;
  // A scalar as Go's fmt prints it: null is "", numbers have their canonical form.
  std::string Printed() const;
  std::string PrintedInteger() const;
  // Same kind and value, places apart; mappings compare without order.
  bool Equals(const Node& other) const;
  // Number of nodes of the subtree, itself included.
  size_t CountNodes() const;
};

struct Entry {
  std::string key;
  SourceSpan key_span;
  Node value;
};

// Positions of the keys of a large mapping. Valid until entries are erased.
class KeyIndex {
 public:
  explicit KeyIndex(const Node& mapping);
  // Index into entries, or -1. A key appended later is told with Added.
  int Find(std::string_view key) const;
  void Added(const std::string& key, size_t position);

 private:
  std::unordered_map<std::string, size_t> positions_;
};

// Shortest text that reads back as the same number, as Go's strconv prints it ('g', or 'f' when
// the exponent is small); bits is 32 or 64.
std::string FormatFloat(double value, int bits = 64);

}  // namespace skiff::schema
