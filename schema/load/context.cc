#include "schema/load/context.h"

#include <set>

#include "base/fd.h"

namespace skiff::schema {

std::string Where::Text() const {
  if (up == nullptr) return std::string(key);
  std::string text = up->Text();
  if (!text.empty()) text += '.';
  return text + (index >= 0 ? std::to_string(index) : std::string(key));
}

SourceSpan PartOf(const Node& node, size_t offset, size_t length) {
  if (!node.literal || node.interpolated || offset + length > node.span.length) return node.span;
  return {node.span.file, node.span.offset + static_cast<uint32_t>(offset),
          static_cast<uint32_t>(length)};
}

std::string_view KindWords(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "empty";
    case Node::Kind::kBool:
      return "a boolean";
    case Node::Kind::kInt:
    case Node::Kind::kFloat:
      return "a number";
    case Node::Kind::kString:
      return "a string";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  return "";
}

std::string AcceptWords(const Type& type) {
  if (!type.wants.empty()) return std::string(type.wants);
  std::vector<std::string> words;
  const uint8_t a = type.accepts;
  if (a & kBool) words.emplace_back("a boolean");
  if (a & kFlt) words.emplace_back("a number");
  if ((a & kInt) && !(a & kFlt)) words.emplace_back("an integer");
  // Where a number or a boolean is wanted, its text is accepted too; that needs no saying.
  const bool own_text =
      type.form == Form::kStruct || type.form == Form::kString || (a & (kBool | kInt)) == 0;
  if ((a & kStr) && own_text) words.emplace_back("a string");
  if (a & kSeq) words.emplace_back("a list");
  if (a & kMap) words.emplace_back("a mapping");
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

std::string NearName(std::string_view word, const std::vector<std::string_view>& candidates) {
  return word.size() < 3 ? "" : DidYouMean(word, candidates);
}

Error& Context::Add(Error error) {
  errors_.push_back(std::move(error));
  return errors_.back();
}

Error& Context::Wrong(Node& node, const Where& where, std::string message) {
  return WrongPart(node, where, std::move(message), 0, node.span.length);
}

Error& Context::WrongPart(Node& node, const Where& where, std::string message, size_t offset,
                          size_t length) {
  node.bad = true;
  const std::string path = where.Text();
  Error error(Code::kInvalidArgument, path.empty() ? std::move(message) : path + ": " + message);
  error.span = PartOf(node, offset, length);
  if (node.interpolated) {
    error.notes.push_back({"the value is '" + node.text + "' after interpolation", {}});
  }
  return Add(std::move(error));
}

Error& Context::WrongKey(SourceSpan key, const Where& where, std::string message) {
  const std::string path = where.Text();
  Error error(Code::kInvalidArgument, path.empty() ? std::move(message) : path + ": " + message);
  error.span = key;
  return Add(std::move(error));
}

void Context::Warn(SourceSpan place, const Where& where, std::string message, std::string note) {
  const std::string path = where.Text();
  Error error(Code::kInvalidArgument, path.empty() ? std::move(message) : path + ": " + message);
  error.span = place;
  if (!note.empty()) error.notes.push_back({std::move(note), {}});
  diagnostics.AddWarning(std::move(error));
}

void Context::Report(Error error) {
  Add(std::move(error));
}

Diagnostics Context::TakeFinished() {
  Diagnostics finished;
  const auto complete = [&](Error error) {
    uint32_t file = error.span.file;
    for (int depth = 0; depth < 16; ++depth) {
      const auto origin = origins_.find(file);
      if (origin == origins_.end()) break;
      error.notes.push_back(origin->second);
      file = origin->second.span.file;
    }
    return error;
  };
  // A file that is read several times is told about once.
  std::set<std::string> told;
  const auto first = [&](const Error& error) {
    return told.insert(sources.Describe(error.span) + '\n' + error.message).second;
  };
  for (Error& error : errors_) {
    if (first(error)) finished.AddError(complete(std::move(error)));
  }
  for (const Diagnostic& diagnostic : diagnostics.list()) {
    if (!first(diagnostic.error)) continue;
    if (diagnostic.severity == Severity::kError) {
      finished.AddError(complete(diagnostic.error));
    } else {
      finished.AddWarning(complete(diagnostic.error));
    }
  }
  finished.SortAndDeduplicate();
  return finished;
}

Result<std::string> Context::Obtain(const std::string& address) {
  if (options.remote == nullptr) return Fail(Code::kUnsupported, "remote files are not fetched");
  return options.remote->Obtain(address);
}

Result<uint32_t> Context::ReadFile(const std::string& path) {
  SKIFF_ASSIGN(std::string text, options.files_seen->Read(path));
  std::string name = path;
  const std::string below = options.working_dir + "/";
  if (options.working_dir.size() > 1 && name.starts_with(below)) name = name.substr(below.size());
  return sources.Add(std::move(name), std::move(text));
}

}  // namespace skiff::schema
