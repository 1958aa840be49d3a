#include "schema/image_pins.h"

namespace skiff::schema {
namespace {

bool IsImageMount(const Node& mount) {
  return mount.IsMapping() && mount.Text("type") == "image";
}

// Calls `visit` with the text of every image. `Tree` is Node or const Node.
template <typename Tree, typename Visit>
void ForEachImage(Tree& tree, Visit visit) {
  Tree* services = tree.Find("services");
  if (services == nullptr) return;
  const auto at = [&visit](Tree& owner, std::string_view key) {
    Tree* image = owner.Find(key);
    if (image != nullptr && image->IsString() && !image->text.empty()) visit(image->text);
  };
  for (auto& service : services->entries) {
    at(service.value, "image");
    if (Tree* hooks = service.value.Find("pre_start")) {
      for (auto& hook : hooks->entries) at(hook.value, "image");
    }
    if (Tree* mounts = service.value.Find("volumes")) {
      for (auto& mount : mounts->entries) {
        if (!IsImageMount(mount.value)) continue;
        if (services->Find(mount.value.Text("source")) == nullptr) at(mount.value, "source");
      }
    }
  }
}

bool HasHookImage(const Node& service) {
  const Node* hooks = service.Find("pre_start");
  if (hooks == nullptr) return false;
  for (const Entry& hook : hooks->entries) {
    if (!hook.value.Text("image").empty()) return true;
  }
  return false;
}

Node OnlyImages(const Node& service) {
  Node kept = Node::Mapping(service.span);
  // JSON of the reference always has these.
  for (const std::string_view key : {"command", "entrypoint"}) {
    kept.Set(key, Node::Null()).output = Node::Output::kJsonOnly;
  }
  if (const Node* image = service.Find("image")) kept.Set("image", *image);
  Node mounts = Node::Sequence();
  if (const Node* all = service.Find("volumes")) {
    for (const Entry& mount : all->entries) {
      if (IsImageMount(mount.value)) mounts.Append(mount.value);
    }
  }
  if (!mounts.entries.empty()) kept.Set("volumes", std::move(mounts));
  return kept;
}

}  // namespace

std::set<std::string> ImagesIn(const Node& tree) {
  std::set<std::string> images;
  ForEachImage(tree, [&images](const std::string& image) { images.insert(image); });
  return images;
}

void PinImages(Node& tree, const std::map<std::string, std::string>& pins) {
  ForEachImage(tree, [&pins](std::string& image) {
    const auto pin = pins.find(image);
    if (pin != pins.end()) image = pin->second;
  });
}

std::vector<std::string> KeepOnlyImages(Node& tree) {
  std::vector<std::string> unpinned;
  Node kept = Node::Mapping();
  kept.Set("name", Node::String("")).output = Node::Output::kJsonOnly;
  if (const Node* services = tree.Find("services")) {
    Node images = Node::Mapping();
    images.table = services->table;
    for (const Entry& service : services->entries) {
      if (HasHookImage(service.value)) unpinned.push_back(service.key);
      images.Set(service.key, OnlyImages(service.value));
    }
    kept.Set("services", std::move(images));
  }
  tree = std::move(kept);
  return unpinned;
}

}  // namespace skiff::schema
