#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

class PathResolver {
 public:
  PathResolver(Context& context, const std::string& base) : context_(context), base_(base) {}

  void Walk(Node& node, const Type& type, const Where& where) {
    if (node.bad) return;
    Apply(node, type, where);
    if (node.IsMapping()) {
      for (Entry& entry : node.entries) {
        const Type* child = ChildType(type, entry.key);
        if (child != nullptr) Walk(entry.value, *child, where.Key(entry.key));
      }
    } else if (node.IsSequence() && type.item != nullptr && type.form != Form::kTable) {
      for (size_t i = 0; i < node.entries.size(); ++i) {
        Walk(node.entries[i].value, *type.item, where.Index(i));
      }
    }
  }

 private:
  void Apply(Node& node, const Type& type, const Where& where) {
    switch (type.path) {
      case PathRule::kNone:
        return;
      case PathRule::kContext:
        if (node.IsString()) LocalContext(node);
        for (Entry& entry : node.entries) {
          if (node.IsMapping() && entry.value.IsString()) LocalContext(entry.value);
        }
        return;
      case PathRule::kExtends:
      case PathRule::kFile:
        if (node.IsString()) File(node);
        return;
      case PathRule::kMountable:
        if (node.IsString()) Mountable(node);
        return;
      case PathRule::kWatch:
        if (node.IsString()) Watch(node);
        return;
      case PathRule::kMount:
        Mount(node, where);
        return;
      case PathRule::kDriver:
        DriverDevice(node);
        return;
    }
  }

  std::string ExpandHome(const std::string& path) const {
    if (!path.starts_with("~")) return path;
    const auto home = context_.options.environment.find("HOME");
    if (home == context_.options.environment.end() || home->second.empty()) return path;
    return JoinPath(home->second, path.substr(1));
  }

  void Set(Node& node, std::string text) {
    if (text == node.text) return;
    node.text = std::move(text);
    node.literal = false;
  }

  void File(Node& node) {
    const std::string path = ExpandHome(node.text);
    Set(node, path.empty() || path[0] == '/' ? path : JoinPath(base_, path));
  }

  void Mountable(Node& node) {
    const std::string path = ExpandHome(node.text);
    const bool absolute = path.starts_with("/") || IsWindowsAbsolute(path);
    Set(node, absolute ? path : JoinPath(base_, path));
  }

  void LocalContext(Node& node) {
    if (node.text.find("://") != std::string::npos) return;
    for (const std::string_view prefix : {"service:", "github.com/", "git@"}) {
      if (node.text.starts_with(prefix)) return;
    }
    File(node);
  }

  void Watch(Node& node) {
    File(node);
    const auto real = context_.options.files_seen->RealPath(node.text);
    if (real && base_.starts_with("/")) Set(node, *real);
  }

  void Mount(Node& node, const Where& where) {
    if (node.Text("type") != "bind") return;
    Node* source = node.Find("source");
    if (source == nullptr) {
      context_.Wrong(node, where, "a bind mount needs a 'source'");
      return;
    }
    if (source->IsString()) Mountable(*source);
  }

  // compose-go: volumeDriverOpts: a local volume that is a bind of a folder.
  void DriverDevice(Node& node) {
    if (node.Text("driver") != "local") return;
    Node* options = node.Find("driver_opts");
    if (options == nullptr || options->Text("o") != "bind") return;
    Node* device = options->Find("device");
    if (device != nullptr && device->IsString()) Mountable(*device);
  }

  Context& context_;
  const std::string& base_;
};

}  // namespace

void ResolvePaths(Context& context, Node& node, const Type& type, const Where& where,
                  const std::string& base) {
  PathResolver(context, base).Walk(node, type, where);
}

}  // namespace skiff::schema
