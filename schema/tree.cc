#include "schema/tree.h"

#include <charconv>
#include <cmath>

namespace skiff::schema {
namespace {

Node Scalar(Node::Kind kind, std::string text, SourceSpan where) {
  Node node;
  node.kind = kind;
  node.text = std::move(text);
  node.span = where;
  return node;
}

}  // namespace

Node Node::Null(SourceSpan where) {
  return Scalar(Kind::kNull, "", where);
}

Node Node::Bool(bool value, SourceSpan where) {
  Node node = Scalar(Kind::kBool, value ? "true" : "false", where);
  node.boolean = value;
  return node;
}

Node Node::Int(int64_t value, SourceSpan where) {
  Node node = Scalar(Kind::kInt, std::to_string(value), where);
  node.integer = value;
  return node;
}

Node Node::Float(double value, SourceSpan where) {
  Node node = Scalar(Kind::kFloat, FormatFloat(value), where);
  node.real = value;
  return node;
}

Node Node::String(std::string value, SourceSpan where) {
  return Scalar(Kind::kString, std::move(value), where);
}

Node Node::Sequence(SourceSpan where) {
  return Scalar(Kind::kSequence, "", where);
}
Node Node::Mapping(SourceSpan where) {
  return Scalar(Kind::kMapping, "", where);
}

const Entry* Node::FindEntry(std::string_view key) const {
  if (kind != Kind::kMapping) return nullptr;
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

const Node* Node::Find(std::string_view key) const {
  const Entry* entry = FindEntry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

Node* Node::Find(std::string_view key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->Find(key));
}

Node& Node::Set(std::string_view key, Node value, SourceSpan key_span) {
  if (Node* existing = Find(key)) {
    *existing = std::move(value);
    return *existing;
  }
  if (!key_span.valid()) key_span = value.span;
  entries.push_back({std::string(key), key_span, std::move(value)});
  return entries.back().value;
}

void Node::Erase(std::string_view key) {
  std::erase_if(entries, [&](const Entry& entry) { return entry.key == key; });
}

Node& Node::Append(Node value) {
  const SourceSpan where = value.span;
  entries.push_back({"", where, std::move(value)});
  return entries.back().value;
}

std::string_view Node::Text(std::string_view key) const {
  const Node* child = Find(key);
  return child != nullptr && child->IsString() ? std::string_view(child->text) : std::string_view();
}

std::string Node::Printed() const {
  switch (kind) {
    case Kind::kInt:
      return PrintedInteger();
    case Kind::kFloat:
      return FormatFloat(real);
    case Kind::kBool:
      return boolean ? "true" : "false";
    default:
      return text;
  }
}

std::string Node::PrintedInteger() const {
  return is_unsigned ? std::to_string(static_cast<uint64_t>(integer)) : std::to_string(integer);
}

bool Node::Equals(const Node& other) const {
  if (kind != other.kind) return false;
  switch (kind) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return boolean == other.boolean;
    case Kind::kInt:
      return integer == other.integer;
    case Kind::kFloat:
      return real == other.real;
    case Kind::kString:
      return text == other.text;
    case Kind::kSequence:
      if (entries.size() != other.entries.size()) return false;
      for (size_t i = 0; i < entries.size(); ++i) {
        if (!entries[i].value.Equals(other.entries[i].value)) return false;
      }
      return true;
    case Kind::kMapping:
      if (entries.size() != other.entries.size()) return false;
      for (const Entry& entry : entries) {
        const Node* found = other.Find(entry.key);
        if (found == nullptr || !entry.value.Equals(*found)) return false;
      }
      return true;
  }
  return false;
}

size_t Node::CountNodes() const {
  size_t count = 1;
  for (const Entry& entry : entries) count += entry.value.CountNodes();
  return count;
}

KeyIndex::KeyIndex(const Node& mapping) {
  positions_.reserve(mapping.entries.size() * 2);
  for (size_t i = 0; i < mapping.entries.size(); ++i) {
    positions_.emplace(mapping.entries[i].key, i);
  }
}

int KeyIndex::Find(std::string_view key) const {
  const auto found = positions_.find(std::string(key));
  return found == positions_.end() ? -1 : static_cast<int>(found->second);
}

void KeyIndex::Added(const std::string& key, size_t position) {
  positions_.emplace(key, position);
}

std::string FormatFloat(double value, int bits) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  const double magnitude = std::fabs(value);
  char buffer[64];
  const bool scientific = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e21);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto result =
      bits == 32 ? std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(value), format)
                 : std::to_chars(buffer, buffer + sizeof buffer, value, format);
  return {buffer, result.ptr};
}

}  // namespace skiff::schema
