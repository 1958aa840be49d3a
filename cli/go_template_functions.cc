#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "base/text.h"
#include "cli/go_template_node.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;
using Values = std::vector<Json>;
using Function = Result<Json> (*)(const Values&);

tl::unexpected<Error> Wrong(std::string_view message) {
  return Fail(Code::kInvalidArgument, fmt::format("template: {}", message));
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Json> ToJson(const Values& a) {
  return Json(DumpJson(a[0]));
}
Result<Json> Lower(const Values& a) {
  return Json(ToLower(TemplateText(a[0])));
}
Result<Json> Upper(const Values& a) {
  std::string text = TemplateText(a[0]);
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return Json(text);
}
Result<Json> Title(const Values& a) {
  std::string text = TemplateText(a[0]);
  bool start = true;
  for (char& c : text) {
    if (start) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    start = c == ' ';
  }
  return Json(text);
}

// join LIST SEPARATOR
Result<Json> JoinList(const Values& a) {
  std::vector<std::string> parts;
  for (const Json& item : a[0]) parts.push_back(TemplateText(item));
  return Json(Join(parts, TemplateText(a[1])));
}

// split TEXT SEPARATOR
Result<Json> SplitText(const Values& a) {
  const std::string text = TemplateText(a[0]);
  const std::string separator = TemplateText(a[1]);
  Json parts = Json::array();
  if (separator.empty()) return Wrong("split needs a separator");
  size_t at = 0;
  for (size_t next; (next = text.find(separator, at)) != std::string::npos;
       at = next + separator.size()) {
    parts.push_back(text.substr(at, next - at));
  }
  parts.push_back(text.substr(at));
  return parts;
}

std::string PrintAll(const Values& a, bool always_space) {
  std::string out;
  for (size_t i = 0; i < a.size(); ++i) {
    // Go's fmt.Print puts spaces between operands when neither is a string.
    if (i > 0 && (always_space || (!a[i].is_string() && !a[i - 1].is_string()))) out += ' ';
    out += TemplateText(a[i]);
  }
  return out;
}
Result<Json> Print(const Values& a) {
  return Json(PrintAll(a, false));
}
Result<Json> Println(const Values& a) {
  return Json(PrintAll(a, true) + '\n');
}

// %v %s %d %q %x %t %%, with width and '-'.
Result<Json> Printf(const Values& a) {
  const std::string format = TemplateText(a[0]);
  std::string out;
  size_t next = 1;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    ++i;
    if (format[i] == '%') {
      out += '%';
      continue;
    }
    const bool left = format[i] == '-';
    if (left) ++i;
    size_t width = 0;
    while (i < format.size() && std::isdigit(static_cast<unsigned char>(format[i]))) {
      width = std::min<size_t>(width * 10 + static_cast<size_t>(format[i++] - '0'), 4096);
    }
    const char verb = i < format.size() ? format[i] : 'v';
    std::string text = next < a.size() ? TemplateText(a[next]) : fmt::format("%!{}(MISSING)", verb);
    if (verb == 'q' && next < a.size()) text = DumpJson(Json(text));
    if (verb == 'x' && next < a.size() && a[next].is_number_integer()) {
      text = fmt::format("{:x}", a[next].get<int64_t>());
    }
    ++next;
    if (text.size() < width) text.insert(left ? text.size() : 0, width - text.size(), ' ');
    out += text;
  }
  return Json(out);
}

Result<Json> Len(const Values& a) {
  return Json(a[0].is_string() ? a[0].get_ref<const std::string&>().size() : a[0].size());
}

Result<Json> Index(const Values& a) {
  Json value = a[0];
  for (size_t i = 1; i < a.size(); ++i) {
    if (value.is_object() && a[i].is_string()) {
      const auto found = value.find(a[i].get_ref<const std::string&>());
      // The zero value of docker's maps of strings.
      if (found == value.end()) return Json(i + 1 == a.size() ? Json("") : Json());
      value = Json(*found);
    } else if (value.is_array() && a[i].is_number_integer()) {
      const int64_t at = a[i].get<int64_t>();
      if (at < 0 || at >= static_cast<int64_t>(value.size())) {
        return Wrong(fmt::format("error calling index: index out of range: {}", at));
      }
      value = Json(value[static_cast<size_t>(at)]);
    } else {
      return Wrong("error calling index: can't index item");
    }
  }
  return value;
}

// slice LIST [from [to]], also of text.
Result<Json> Slice(const Values& a) {
  const bool text = a[0].is_string();
  if (!text && !a[0].is_array()) {
    return Wrong(fmt::format("error calling slice: can't slice item of type {}", a[0].type_name()));
  }
  for (size_t i = 1; i < a.size(); ++i) {
    if (a[i].is_number_integer()) continue;
    return Wrong(fmt::format("error calling slice: cannot index slice/array with type {}",
                             a[i].type_name()));
  }
  const size_t size = text ? a[0].get_ref<const std::string&>().size() : a[0].size();
  const size_t from = a.size() > 1 ? a[1].get<size_t>() : 0;
  const size_t to = a.size() > 2 ? a[2].get<size_t>() : size;
  if (from > to || to > size) return Wrong("error calling slice: index out of range");
  if (text) return Json(a[0].get_ref<const std::string&>().substr(from, to - from));
  Json out = Json::array();
  for (size_t i = from; i < to; ++i) out.push_back(a[0][i]);
  return out;
}

Result<Json> Equal(const Values& a) {
  return Json(std::any_of(a.begin() + 1, a.end(), [&](const Json& b) { return a[0] == b; }));
}
Result<Json> NotEqual(const Values& a) {
  return Json(a[0] != a[1]);
}
Result<Json> Less(const Values& a) {
  return Json(a[0] < a[1]);
}
Result<Json> LessEqual(const Values& a) {
  return Json(a[0] <= a[1]);
}
Result<Json> Greater(const Values& a) {
  return Json(a[0] > a[1]);
}
Result<Json> GreaterEqual(const Values& a) {
  return Json(a[0] >= a[1]);
}
Result<Json> And(const Values& a) {
  for (const Json& value : a) {
    if (!TemplateTruth(value)) return value;
  }
  return a.back();
}
Result<Json> Or(const Values& a) {
  for (const Json& value : a) {
    if (TemplateTruth(value)) return value;
  }
  return a.back();
}
Result<Json> Not(const Values& a) {
  return Json(!TemplateTruth(a[0]));
}

// pad TEXT BEFORE AFTER
Result<Json> Pad(const Values& a) {
  const std::string text = TemplateText(a[0]);
  if (text.empty() || !a[1].is_number_integer() || !a[2].is_number_integer()) return Json(text);
  constexpr int64_t kWidest = 4096;
  for (size_t i = 1; i < 3; ++i) {
    if (a[i] < 0 || a[i] > kWidest) {
      return Wrong(fmt::format("error calling pad: {} is no width from 0 to {}", a[i].dump(), kWidest));
    }
  }
  return Json(std::string(a[1].get<size_t>(), ' ') + text + std::string(a[2].get<size_t>(), ' '));
}
// truncate TEXT LENGTH
Result<Json> Truncate(const Values& a) {
  std::string text = TemplateText(a[0]);
  if (a[1].is_number_integer()) text.resize(std::min(text.size(), a[1].get<size_t>()));
  return Json(text);
}

struct Row {
  std::string_view name;
  size_t minimum;
  Function function;
};
constexpr Row kFunctions[] = {
    {"json", 1, ToJson},       {"lower", 1, Lower},
    {"upper", 1, Upper},       {"title", 1, Title},
    {"join", 2, JoinList},     {"split", 2, SplitText},
    {"print", 0, Print},       {"println", 0, Println},
    {"printf", 1, Printf},     {"len", 1, Len},
    {"index", 1, Index},       {"slice", 1, Slice},
    {"eq", 2, Equal},          {"ne", 2, NotEqual},
    {"lt", 2, Less},           {"le", 2, LessEqual},
    {"gt", 2, Greater},        {"ge", 2, GreaterEqual},
    {"and", 1, And},           {"or", 1, Or},
    {"not", 1, Not},           {"pad", 3, Pad},
    {"truncate", 2, Truncate},
};

const Row* FindFunction(std::string_view name) {
  for (const Row& row : kFunctions) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

bool IsTemplateFunction(std::string_view name) {
  return FindFunction(name) != nullptr;
}

Result<Json> CallTemplateFunction(const std::string& name, const std::vector<Json>& arguments) {
  const Row* row = FindFunction(name);
  if (row == nullptr) return Wrong(fmt::format("function \"{}\" not defined", name));
  if (arguments.size() < row->minimum) {
    return Wrong(fmt::format("wrong number of args for {}: want at least {} got {}", name,
                             row->minimum, arguments.size()));
  }
  return row->function(arguments);
}

bool TemplateTruth(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return false;
    case Json::value_t::boolean:
      return value.get<bool>();
    case Json::value_t::string:
      return !value.get_ref<const std::string&>().empty();
    case Json::value_t::object:
    case Json::value_t::array:
      return !value.empty();
    default:
      return value != 0;
  }
}

std::string TemplateText(const Json& value) {
  if (value.is_null()) return "<no value>";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::string out = "[";
    for (const Json& item : value) {
      if (out.size() > 1) out += ' ';
      out += TemplateText(item);
    }
    return out + "]";
  }
  if (value.is_object()) {
    std::map<std::string, std::string> sorted;
    for (const auto& [key, item] : value.items()) sorted[key] = TemplateText(item);
    std::string out = "map[";
    for (const auto& [key, item] : sorted) {
      if (out.size() > 4) out += ' ';
      out += key + ':' + item;
    }
    return out + "]";
  }
  return DumpJson(value);
}

}  // namespace skiff::cli
