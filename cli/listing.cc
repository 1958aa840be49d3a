#include "cli/listing.h"

#include <map>
#include <nlohmann/json.hpp>

#include "cli/go_template.h"
#include "cli/go_template_node.h"
#include "cli/text_table.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// docker prints members in alphabetical order.
Json Sorted(const Json& row) {
  std::map<std::string, const Json*> members;
  for (const auto& [key, value] : row.items()) {
    if (key != "Label") members[key] = &value;
  }
  Json out = Json::object();
  for (const auto& [key, value] : members) out[key] = *value;
  return out;
}

std::string RenderJson(const std::vector<Json>& rows, bool array) {
  if (array) return DumpJson(Json(rows), -1) + '\n';
  std::string out;
  for (const Json& row : rows) out += DumpJson(Sorted(row), -1) + '\n';
  return out;
}

std::string RenderTable(std::span<const Column> columns, const std::vector<Json>& rows,
                        size_t minimum_width) {
  TextTable table(minimum_width);
  std::vector<std::string> cells;
  for (const Column& column : columns) {
    if (column.shown) cells.emplace_back(column.header);
  }
  table.Add(std::move(cells));
  for (const Json& row : rows) {
    cells.clear();
    for (const Column& column : columns) {
      if (column.shown) cells.push_back(TemplateText(row.at(std::string(column.field))));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

Result<std::string> RenderTemplateTable(std::span<const Column> columns,
                                        const std::vector<Json>& rows, std::string_view text,
                                        size_t minimum_width) {
  SKIFF_ASSIGN(const GoTemplate format, GoTemplate::Parse(UnescapeFormat(text)));
  TextTable table(minimum_width);
  Json header = Json::object();
  for (const Column& column : columns) header[std::string(column.field)] = column.header;
  header["Label"] = Json::object();
  SKIFF_ASSIGN(const std::string title, format.Execute(header));
  table.AddLine(title);
  for (const Json& row : rows) {
    SKIFF_ASSIGN(const std::string line, format.Execute(row));
    table.AddLine(line);
  }
  return table.Render();
}

}  // namespace

Result<std::string> RenderListing(std::span<const Column> columns, const std::vector<Json>& rows,
                                  const ListingStyle& style) {
  std::string_view format = style.format;
  if (format.empty() || format == "table" || format == "pretty") {
    return RenderTable(columns, rows, style.minimum_width);
  }
  if (format == "json") return RenderJson(rows, style.json_array);
  if (format.starts_with("table ")) {
    return RenderTemplateTable(columns, rows, format.substr(6), style.minimum_width);
  }
  SKIFF_ASSIGN(const GoTemplate text, GoTemplate::Parse(UnescapeFormat(format)));
  std::string out;
  for (const Json& row : rows) {
    SKIFF_ASSIGN(const std::string line, text.Execute(row));
    out += line + '\n';
  }
  return out;
}

Result<std::string> RenderInspect(const std::vector<Json>& values, std::string_view format) {
  if (format.empty()) {
    return DumpJson(values.empty() ? Json::array() : Json(values), 4) + '\n';
  }
  if (format == "json") return DumpJson(values.empty() ? Json::array() : Json(values), -1) + '\n';
  SKIFF_ASSIGN(const GoTemplate text, GoTemplate::Parse(UnescapeFormat(format)));
  std::string out;
  for (const Json& value : values) {
    SKIFF_ASSIGN(const std::string line, text.Execute(value));
    out += line + '\n';
  }
  return out;
}

}  // namespace skiff::cli
