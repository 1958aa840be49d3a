#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "schema/load/context.h"

namespace skiff::schema {
namespace {

class Interpolator {
 public:
  Interpolator(Context& context, const Lookup& lookup) : context_(context), lookup_(lookup) {}

  void Walk(Node& node, const Type* type, const Where& where) {
    switch (node.kind) {
      case Node::Kind::kString:
        Scalar(node, type, where);
        return;
      case Node::Kind::kSequence:
        for (size_t i = 0; i < node.entries.size(); ++i) {
          const bool list = type != nullptr && type->form != Form::kTable;
          Walk(node.entries[i].value, list ? type->item : nullptr, where.Index(i));
        }
        return;
      case Node::Kind::kMapping:
        for (Entry& entry : node.entries) {
          const Type* child = type == nullptr ? nullptr : ChildType(*type, entry.key);
          Walk(entry.value, child, where.Key(entry.key));
        }
        return;
      default:
        return;
    }
  }

 private:
  void Scalar(Node& node, const Type* type, const Where& where) {
    if (node.text.find('$') != std::string::npos) {
      Substitution result = Substitute(node.text, lookup_, context_.interpolation_left);
      for (const TemplateIssue& issue : result.issues) Tell(node, where, issue);
      if (node.bad) return;
      if (result.changed) {
        context_.interpolation_left -= std::min(result.text.size(), context_.interpolation_left);
        node.text = std::move(result.text);
        node.interpolated = true;
      }
    }
    if (type != nullptr && type->cast != Cast::kNone) CastTo(node, type->cast, where);
  }

  void Tell(Node& node, const Where& where, const TemplateIssue& issue) {
    const SourceSpan place = PartOf(node, issue.offset, issue.length);
    switch (issue.kind) {
      case TemplateIssue::Kind::kUnset:
        context_.Warn(place, Where{},
                      "the variable '" + issue.name + "' is not set; it becomes an empty text");
        return;
      case TemplateIssue::Kind::kInvalid:
        context_
            .WrongPart(node, where, "invalid interpolation '" + issue.name + "'", issue.offset,
                       issue.length)
            .notes.push_back({"write $$ for a '$' that is no variable", {}});
        return;
      case TemplateIssue::Kind::kRequired:
        context_.WrongPart(node, where,
                           "the variable '" + issue.name + "' is required but not set" +
                               (issue.message.empty() ? "" : ": " + issue.message),
                           issue.offset, issue.length);
        return;
      case TemplateIssue::Kind::kTooLong:
        // One mistake for all that would follow.
        if (!std::exchange(context_.interpolation_over, true)) {
          context_.WrongPart(node, where,
                             "with the value of '" + issue.name +
                                 "' what variables give grows beyond 64 MiB",
                             issue.offset, issue.length);
        }
        node.bad = true;
        return;
    }
  }

  void CastTo(Node& node, Cast cast, const Where& where) {
    Node value;
    if (cast == Cast::kBool) {
      const std::string word = ToLower(node.text);
      const bool yes = word == "true" || word == "y" || word == "yes" || word == "on";
      const bool no = word == "false" || word == "n" || word == "no" || word == "off";
      if (!yes && !no) {
        context_.Wrong(node, where, "'" + node.text + "' is not a boolean")
            .notes.push_back({"write true or false", {}});
        return;
      }
      if (word != "true" && word != "false") {
        context_.Warn(node.span, where, "'" + node.text + "' is a boolean of YAML 1.1 only",
                      std::string("write ") + (yes ? "true" : "false"));
      }
      value = Node::Bool(yes);
    } else if (cast == Cast::kInt) {
      std::string_view digits = node.text;
      if (!digits.empty() && digits[0] == '+') digits.remove_prefix(1);
      const auto number = ParseNumber<int64_t>(digits);
      if (!number) {
        context_.Wrong(node, where, "'" + node.text + "' is not an integer");
        return;
      }
      value = Node::Int(*number);
    } else {
      char* end = nullptr;
      const double number = std::strtod(node.text.c_str(), &end);
      if (node.text.empty() || *end != '\0') {
        context_.Wrong(node, where, "'" + node.text + "' is not a number");
        return;
      }
      value = Node::Float(number);
    }
    value.span = node.span;
    value.text = node.text;
    value.tag = node.tag;
    value.interpolated = node.interpolated;
    value.literal = node.literal;
    node = std::move(value);
  }

  Context& context_;
  const Lookup& lookup_;
};

}  // namespace

void Interpolate(Context& context, Node& document, const Lookup& lookup) {
  Interpolator(context, lookup).Walk(document, &kComposeFile, Where{});
}

}  // namespace skiff::schema
