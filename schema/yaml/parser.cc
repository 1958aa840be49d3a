#include "schema/yaml/parser.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/node/node.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <streambuf>
#include <optional>
#include <unordered_map>

#include "base/text.h"

namespace skiff::schema {
namespace {

// Ends the parse of a document whose error is already reported.
struct StopParsing {};

class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

// The parser gives a byte for the escapes \N and \_ that is no character by itself: they mean U+0085
// and U+00A0. All other text is known to be UTF-8.
std::string WithWholeCharacters(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  while (!value.empty()) {
    const size_t length = Utf8SequenceLength(value);
    if (length == 0) out += '\xc2';
    out += value.substr(0, std::max<size_t>(length, 1));
    value.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, uint32_t file, uint32_t bom, Diagnostics& diagnostics,
              const YamlLimits& limits)
      : text_(text), file_(file), bom_(bom), diagnostics_(diagnostics), limits_(limits) {}

  Node TakeDocument() { return std::move(document_); }
  // Where no document could begin. Null ones there are none.
  std::optional<uint32_t> stuck_at() const { return stuck_at_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // The parser does not move past what can begin no document, and would give null ones for ever.
    if (mark.pos == document_start_) {
      SourceSpan where = Place(mark);
      where.length = 1;
      stuck_at_ = where.offset;
      Stop("unexpected '" + Excerpt(where) + "': no value begins with it", where);
    }
    document_start_ = mark.pos;
    stack_.clear();
    anchors_.clear();
    document_ = Node::Null();
    nodes_ = expanded_ = 0;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    SourceSpan where = Place(mark);
    const std::string_view rest = text_.substr(std::min<size_t>(where.offset, text_.size()));
    for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
      if (rest.substr(0, word.size()) == word) where.length = static_cast<uint32_t>(word.size());
    }
    // An absent value has no text: it is shown at its key, or at the '-' of its list.
    if (where.length == 0 && !stack_.empty()) {
      if (stack_.back().has_key) {
        where = stack_.back().key_span;
      } else if (const size_t dash = text_.rfind('-', where.offset == 0 ? 0 : where.offset - 1);
                 dash != std::string_view::npos) {
        where = {file_, static_cast<uint32_t>(dash), 1};
      }
    }
    Finish(Node::Null(where), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    SourceSpan where = Place(mark);
    where.length = WordLength(where.offset);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Stop("the alias '" + Excerpt(where) + "' refers to a value that contains it", where);
    }
    expanded_ += found->second.size;
    if (expanded_ > limits_.expanded_nodes) {
      Stop("the aliases of this file expand to more than " +
               std::to_string(limits_.expanded_nodes) + " values",
           where);
    }
    if (stack_.size() + found->second.depth > limits_.depth) Deep(where);
    if (WantsKey()) Stop("an alias cannot be a mapping key", where);
    Node copy = found->second.node;
    if (copy.IsNull()) copy.span = where;
    Finish(std::move(copy), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& parsed) override {
    const std::string value = tag == "?" ? parsed : WithWholeCharacters(parsed);
    SourceSpan where = Place(mark);
    const bool quoted_or_tagged = tag != "?";
    const auto extent = MeasureScalar(text_, where.offset, !quoted_or_tagged, value);
    if (!extent) {
      where.length = 1;
      Stop("the quoted text that starts here does not end", where);
    }
    where.offset = extent->offset;
    where.length = extent->length;
    if (WantsKey()) {
      const bool merge = tag == "tag:yaml.org,2002:merge" || (!quoted_or_tagged && value == "<<");
      TakeKey(value, where, !quoted_or_tagged, merge);
      if (anchor != 0) Remember(Node::String(value, where), anchor);
      return;
    }
    Node node = MakeScalar(tag, value, where);
    node.literal = extent->literal;
    Finish(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(Node::Sequence(Place(mark)), tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(Node::Mapping(Place(mark)), tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    size_t depth = 1;  // Of the subtree so far.
    bool has_key = false;
    bool merge_key = false;
    bool duplicate = false;
    std::string key;
    SourceSpan key_span;
    std::vector<Entry> merges;                      // Values of `<<`, in order.
    std::unordered_map<std::string, size_t> index;  // Filled when the mapping is large.
    std::vector<std::string> resets;
  };
  struct Anchor {
    Node node;
    size_t size = 0;
    size_t depth = 1;
  };

  SourceSpan Place(const YAML::Mark& mark) const {
    const size_t offset = std::min<size_t>(static_cast<size_t>(mark.pos) + bom_, text_.size());
    return {file_, static_cast<uint32_t>(offset), 0};
  }

  uint32_t WordLength(uint32_t offset) const {
    uint32_t end = offset;
    while (end < text_.size() &&
           std::string_view(" \t\r\n,]}:").find(text_[end]) == std::string_view::npos) {
      ++end;
    }
    return end - offset;
  }
  std::string Excerpt(SourceSpan where) const {
    return std::string(text_.substr(where.offset, where.length));
  }

  [[noreturn]] void Stop(std::string message, SourceSpan where) {
    Report(Error(Code::kInvalidArgument, std::move(message)).At(where));
    throw StopParsing();
  }
  [[noreturn]] void Deep(SourceSpan where) {
    Stop("values are nested deeper than " + std::to_string(limits_.depth) + " levels", where);
  }
  void Report(Error error) { diagnostics_.AddError(std::move(error)); }

  bool WantsKey() const {
    return !stack_.empty() && stack_.back().node.IsMapping() && !stack_.back().has_key;
  }

  void Count(SourceSpan where) {
    if (++nodes_ > limits_.nodes) {
      Stop("the document has more than " + std::to_string(limits_.nodes) + " values", where);
    }
  }

  Node MakeScalar(const std::string& tag, const std::string& value, SourceSpan where) {
    if (tag == "?") return ResolvePlainScalar(value, where);
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return Node::String(value, where);
    if (tag == "!reset" || tag == "!override") {
      const char first = where.offset < text_.size() ? text_[where.offset] : ' ';
      const bool plain = first != '"' && first != '\'' && first != '|' && first != '>';
      Node node = plain ? ResolvePlainScalar(value, where) : Node::String(value, where);
      node.tag = tag == "!reset" ? Node::Tag::kReset : Node::Tag::kOverride;
      return node;
    }
    return MakeTagged(tag, value, where);
  }

  Node MakeTagged(const std::string& tag, const std::string& value, SourceSpan where) {
    struct Known {
      std::string_view tag;
      Node::Kind kind;
    };
    static constexpr Known kKnown[] = {{"tag:yaml.org,2002:int", Node::Kind::kInt},
                                       {"tag:yaml.org,2002:bool", Node::Kind::kBool},
                                       {"tag:yaml.org,2002:null", Node::Kind::kNull},
                                       {"tag:yaml.org,2002:float", Node::Kind::kFloat}};
    for (const Known& known : kKnown) {
      if (known.tag != tag) continue;
      Node node = ResolvePlainScalar(value, where);
      if (known.kind == Node::Kind::kFloat && node.IsInt()) {
        return Node::Float(static_cast<double>(node.integer), where);
      }
      if (node.kind != known.kind) {
        Report(Error(Code::kInvalidArgument, "'" + value + "' is not a !!" + tag.substr(18))
                   .At(where));
      }
      return node;
    }
    // The reference reads a value with an unknown tag as text.
    return Node::String(value, where);
  }

  void Open(Node node, const std::string& tag, YAML::anchor_t anchor) {
    if (WantsKey()) {
      node.span.length = 1;
      Stop("a mapping key must be text, not a collection", node.span);
    }
    if (stack_.size() >= limits_.depth) Deep(node.span);
    Count(node.span);
    if (tag == "!reset") node.tag = Node::Tag::kReset;
    if (tag == "!override") node.tag = Node::Tag::kOverride;
    Frame frame;
    frame.node = std::move(node);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    if (frame.node.IsMapping()) ResolveMerges(frame);
    const uint32_t begin = frame.node.span.offset;
    const char first = begin < text_.size() ? text_[begin] : ' ';
    const bool flow = first == '[' || first == '{';
    frame.node.span.length = flow ? 1 : std::max<uint32_t>(1, WordLength(begin));
    if (!frame.node.entries.empty() && frame.node.IsMapping() &&
        frame.node.entries.front().key_span.offset == begin) {
      frame.node.span = frame.node.entries.front().key_span;
    }
    if (!stack_.empty()) stack_.back().depth = std::max(stack_.back().depth, frame.depth + 1);
    Place(std::move(frame.node), frame.anchor, frame.depth);
  }

  void Finish(Node node, YAML::anchor_t anchor) {
    Count(node.span);
    if (WantsKey()) Stop("a mapping key must be text", node.span);
    Place(std::move(node), anchor, 1);
  }

  void Remember(const Node& node, YAML::anchor_t anchor, size_t depth = 1) {
    anchors_[anchor] = {node, node.CountNodes(), depth};
    anchors_[anchor].node.tag = node.tag;
  }

  // Puts a finished value into its parent.
  void Place(Node node, YAML::anchor_t anchor, size_t depth) {
    if (anchor != 0) Remember(node, anchor, depth);
    if (stack_.empty()) {
      document_ = std::move(node);
      return;
    }
    Frame& parent = stack_.back();
    if (parent.node.IsSequence()) {
      if (node.tag != Node::Tag::kReset) parent.node.Append(std::move(node));
      return;
    }
    parent.has_key = false;
    if (parent.merge_key) {
      parent.merge_key = false;
      AddMerge(parent, std::move(node));
      return;
    }
    // The first of equal keys stays.
    if (!parent.duplicate) {
      parent.node.entries.push_back({std::move(parent.key), parent.key_span, std::move(node)});
    }
  }

  void TakeKey(const std::string& value, SourceSpan where, bool plain, bool merge) {
    Count(where);
    Frame& frame = stack_.back();
    const size_t known = FindKey(frame, value);
    if (known != std::string::npos) {
      Report(Error(Code::kInvalidArgument, "the key '" + value + "' is given twice")
                 .At(where)
                 .With("it is first given here", frame.node.entries[known].key_span));
    }
    const Node resolved = plain ? ResolvePlainScalar(value, where) : Node::String(value, where);
    if (!resolved.IsString()) {
      Report(Error(Code::kInvalidArgument, "the key '" + value + "' must be text")
                 .At(where)
                 .With("write it in quotes: \"" + value + "\""));
    }
    if (merge) {
      if (!frame.merges.empty()) {
        Report(Error(Code::kInvalidArgument, "the key '<<' is given twice")
                   .At(where)
                   .With("it is first given here", frame.merges.front().key_span)
                   .With("one '<<' takes a list: <<: [*first, *second]"));
      }
      frame.merge_key = true;
    }
    frame.has_key = true;
    frame.duplicate = known != std::string::npos;
    frame.key = value;
    frame.key_span = where;
    if (known == std::string::npos && !frame.index.empty()) {
      frame.index.emplace(value, frame.node.entries.size());
    }
  }

  static size_t FindKey(Frame& frame, const std::string& key) {
    constexpr size_t kLarge = 24;
    const std::vector<Entry>& entries = frame.node.entries;
    if (entries.size() < kLarge) {
      for (size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].key == key) return i;
      }
      return std::string::npos;
    }
    if (frame.index.empty()) {
      for (size_t i = 0; i < entries.size(); ++i) frame.index.emplace(entries[i].key, i);
    }
    const auto found = frame.index.find(key);
    return found == frame.index.end() || found->second >= entries.size() ? std::string::npos
                                                                         : found->second;
  }

  void AddMerge(Frame& frame, Node value) {
    const SourceSpan key_span = frame.key_span;
    const auto wrong = [&](SourceSpan where) {
      Report(Error(Code::kInvalidArgument, "'<<' takes a mapping or a list of mappings").At(where));
    };
    if (value.IsMapping()) {
      frame.merges.push_back({"<<", key_span, std::move(value)});
    } else if (value.IsSequence()) {
      for (Entry& item : value.entries) {
        if (item.value.IsMapping()) {
          frame.merges.push_back({"<<", key_span, std::move(item.value)});
        } else {
          wrong(item.value.span);
        }
      }
    } else {
      wrong(key_span);
    }
  }

  // YAML 1.1 merge keys: own keys win, then the merged mappings in their order. A key that is only
  // `!reset` here takes the merged value but keeps nothing of lower files.
  void ResolveMerges(Frame& frame) {
    if (frame.merges.empty()) return;
    KeyIndex index(frame.node);
    for (Entry& merge : frame.merges) {
      for (Entry& entry : merge.value.entries) {
        const int position = index.Find(entry.key);
        if (position < 0) {
          index.Added(entry.key, frame.node.entries.size());
          frame.node.entries.push_back(std::move(entry));
          continue;
        }
        Node& own = frame.node.entries[static_cast<size_t>(position)].value;
        if (own.tag == Node::Tag::kReset) {
          own = std::move(entry.value);
          own.tag = Node::Tag::kOverride;
        }
      }
    }
  }

  std::string_view text_;
  uint32_t file_;
  uint32_t bom_;
  Diagnostics& diagnostics_;
  const YamlLimits& limits_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchor> anchors_;
  Node document_;
  int document_start_ = -1;
  std::optional<uint32_t> stuck_at_;
  size_t nodes_ = 0;
  size_t expanded_ = 0;
};

// Offset of the first byte that YAML does not allow, with the reason; nothing for good text.
std::optional<Error> CheckCharacters(std::string_view text, uint32_t file) {
  size_t i = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (i < text.size()) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x7f) {
      ++i;
      continue;
    }
    const SourceSpan where{file, static_cast<uint32_t>(i), 1};
    if (c < 0x80) {
      if (c == '\t' || c == '\n' || c == '\r') {
        ++i;
        continue;
      }
      return Error(Code::kInvalidArgument, "the file has a control character").At(where);
    }
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      return Error(Code::kInvalidArgument, "the file is not valid UTF-8").At(where);
    }
    i += length;
  }
  return std::nullopt;
}

// yaml-cpp's messages, in words that say what to do.
Error TranslateParserError(const YAML::Exception& e, SourceSpan where, std::string_view text) {
  // A tab in the indentation of the line is the cause, whatever the parser stumbled over.
  const size_t line = text.rfind('\n', where.offset == 0 ? 0 : where.offset - 1);
  size_t first = line == std::string_view::npos ? 0 : line + 1;
  while (first < text.size() && text[first] == ' ') ++first;
  if (first < text.size() && first <= where.offset && text[first] == '\t') {
    return Error(Code::kInvalidArgument, "a tab cannot indent a line")
        .At({where.file, static_cast<uint32_t>(first), 1})
        .With("YAML indents with spaces");
  }
  struct Known {
    std::string_view theirs;
    std::string_view ours;
    std::string_view note;
  };
  static constexpr Known kKnown[] = {
      {"illegal tab when looking for indentation", "a tab cannot indent a line",
       "YAML indents with spaces"},
      {"end of map not found", "this line does not fit the mapping above it",
       "check the indentation: keys of one mapping start in the same column"},
      {"end of sequence not found", "this line does not fit the list above it",
       "check the indentation: items of one list start in the same column"},
      {"end of sequence flow not found", "the list that '[' begins does not end here", "add ']'"},
      {"end of map flow not found", "the mapping that '{' begins does not end here", "add '}'"},
      {"illegal flow end", "this bracket does not close what was opened last", ""},
      {"illegal map value", "a mapping cannot start here",
       "put the text in quotes if the ':' belongs to it"},
      {"illegal block entry", "a list item cannot start here", "check the indentation"},
      {"illegal map key", "a mapping key cannot start here", ""},
      {"the referenced anchor is not defined", "this alias has no anchor", ""},
      {"unknown token", "this character cannot begin a value", "put the value in quotes"},
      {"illegal character in scalar", "this character is not allowed here", ""},
      {"illegal EOF in scalar", "the quoted text does not end", ""},
      {"illegal document indicator in scalar", "the quoted text is not closed before '---'", ""},
      {"unknown escape character: ", "this escape is not known in double quotes",
       "write \\\\ for a backslash, or use single quotes"},
  };
  for (const Known& known : kKnown) {
    if (std::string_view(e.msg).substr(0, known.theirs.size()) != known.theirs) continue;
    Error error = Error(Code::kInvalidArgument, std::string(known.ours)).At(where);
    if (!known.note.empty()) error.notes.push_back({std::string(known.note), {}});
    return error;
  }
  return Error(Code::kInvalidArgument, "cannot read YAML: " + e.msg).At(where);
}

}  // namespace

std::vector<Node> ParseYaml(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics,
                            const YamlLimits& limits) {
  const std::string_view text = sources.File(file).text();
  std::vector<Node> documents;
  if (text.size() > limits.document_bytes) {
    diagnostics.AddError(
        Error(Code::kInvalidArgument,
              "the file is larger than " + std::to_string(limits.document_bytes >> 20) + " MiB")
            .At({file, 0, 0}));
    return documents;
  }
  if (auto error = CheckCharacters(text, file)) {
    diagnostics.AddError(std::move(*error));
    return documents;
  }
  const uint32_t bom =
      text.starts_with(kByteOrderMark) ? static_cast<uint32_t>(kByteOrderMark.size()) : 0;
  ViewBuffer buffer(text.substr(bom));
  std::istream stream(&buffer);
  TreeBuilder builder(text, file, bom, diagnostics, limits);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
      documents.push_back(builder.TakeDocument());
    }
  } catch (const StopParsing&) {
    while (builder.stuck_at() && !documents.empty() && documents.back().IsNull() &&
           documents.back().span.offset == *builder.stuck_at()) {
      documents.pop_back();
    }
  } catch (const YAML::Exception& e) {
    const size_t offset =
        std::min<size_t>(static_cast<size_t>(std::max(e.mark.pos, 0)) + bom, text.size());
    diagnostics.AddError(TranslateParserError(e, {file, static_cast<uint32_t>(offset), 1}, text));
  }
  return documents;
}

}  // namespace skiff::schema
