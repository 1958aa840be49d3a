#include <algorithm>

#include "base/json_text.h"
#include "schema/load.h"
#include "schema/render/render.h"
#include "schema/tree.h"

namespace skiff::schema {

void AppendJsonScalar(std::string& out, const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      out += "null";
      return;
    case Node::Kind::kBool:
      out += node.boolean ? "true" : "false";
      return;
    case Node::Kind::kInt:
      out += node.PrintedInteger();
      return;
    case Node::Kind::kFloat:
      out += FormatFloat(node.real);
      return;
    default:
      AppendJsonQuoted(out, node.text);
  }
}

namespace {

std::vector<const Entry*> Shown(const Node& node, bool sorted) {
  std::vector<const Entry*> entries;
  for (const Entry& entry : node.entries) {
    if (entry.value.output != Node::Output::kYamlOnly) entries.push_back(&entry);
  }
  if (sorted) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry* a, const Entry* b) { return a->key < b->key; });
  }
  return entries;
}

void Append(std::string& out, const Node& node, size_t indent, bool top) {
  if (node.IsScalar()) {
    AppendJsonScalar(out, node);
    return;
  }
  const bool mapping = node.IsMapping();
  const auto entries = Shown(node, mapping && (top || node.table));
  if (entries.empty()) {
    out += mapping ? "{}" : "[]";
    return;
  }
  out += mapping ? '{' : '[';
  bool first = true;
  for (const Entry* entry : entries) {
    out += first ? "\n" : ",\n";
    first = false;
    out.append(indent + 2, ' ');
    if (mapping) {
      AppendJsonQuoted(out, entry->key);
      out += ": ";
    }
    Append(out, entry->value, indent + 2, false);
  }
  out += '\n';
  out.append(indent, ' ');
  out += mapping ? '}' : ']';
}

void AppendCompact(std::string& out, const Node& node) {
  if (node.IsScalar()) {
    AppendJsonScalar(out, node);
    return;
  }
  const bool mapping = node.IsMapping();
  out += mapping ? '{' : '[';
  bool first = true;
  for (const Entry* entry : Shown(node, mapping)) {
    if (!first) out += ',';
    first = false;
    if (mapping) {
      AppendJsonQuoted(out, entry->key);
      out += ':';
    }
    AppendCompact(out, entry->value);
  }
  out += mapping ? '}' : ']';
}

}  // namespace

std::string EscapeDollars(std::string text) {
  if (text.find('$') == std::string::npos) return text;
  std::string out;
  out.reserve(text.size() + 16);
  for (const char c : text) {
    out += c;
    if (c == '$') out += c;
  }
  return out;
}

std::string RenderCompactJson(const Node& tree) {
  std::string out;
  AppendCompact(out, tree);
  return out;
}

std::string RenderJson(const Node& tree) {
  std::string out;
  Append(out, tree, 0, true);
  return tree.literal ? out : EscapeDollars(std::move(out));
}

}  // namespace skiff::schema
