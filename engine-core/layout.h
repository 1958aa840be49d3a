#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::engine {

// The one place that knows where things lie on disk (README: formats). Nothing here touches the
// disk but Prepare*().
class Layout {
 public:
  Layout(std::string root, std::string run) : root_(std::move(root)), run_(std::move(run)) {}

  const std::string& root() const { return root_; }
  const std::string& run() const { return run_; }

  // -- durable root --
  std::string database() const { return root_ + "/skiff.db"; }
  std::string blobs() const { return root_ + "/blobs/sha256"; }
  // `digest`: 64 hexadecimal digits.
  std::string blob(std::string_view digest) const { return Join(blobs(), digest); }
  std::string layers() const { return root_ + "/layers"; }
  std::string layer(std::string_view id) const { return Join(layers(), id); }
  std::string layer_diff(std::string_view id) const { return layer(id) + "/diff"; }
  // Of a chain of layers (bottom first), as overlayfs takes them: top first. A layer that occurs
  // twice counts where it is highest: overlayfs refuses a folder the second time, and what lies
  // above has the last word anyway.
  std::vector<std::string> lower_folders(const std::vector<std::string>& ids) const;
  std::string containers() const { return root_ + "/containers"; }
  std::string container(std::string_view id) const { return Join(containers(), id); }
  std::string container_diff(std::string_view id) const { return container(id) + "/diff"; }
  std::string container_work(std::string_view id) const { return container(id) + "/work"; }
  std::string container_hosts(std::string_view id) const { return container(id) + "/hosts"; }
  std::string container_hostname(std::string_view id) const { return container(id) + "/hostname"; }
  std::string container_resolv(std::string_view id) const { return container(id) + "/resolv.conf"; }
  std::string container_shm(std::string_view id) const { return container(id) + "/shm"; }
  // How its last run ended; absent while it runs. The state of a reboot ago is known by it.
  std::string container_state(std::string_view id) const { return container(id) + "/state.json"; }
  std::string container_log(std::string_view id) const {
    return container(id) + "/" + std::string(id) + "-json.log";
  }
  std::string volumes() const { return root_ + "/volumes"; }
  // Things that are being written; a leftover of a dead command is garbage.
  std::string tmp() const { return root_ + "/tmp"; }
  // Blobs that have come in part, by digest: the next pull goes on with them.
  std::string downloads() const { return root_ + "/downloads"; }
  // Trees that are being removed, under names nobody looks up.
  std::string trash() const { return root_ + "/trash"; }

  // -- volatile root --
  std::string boot_id() const { return run_ + "/boot_id"; }
  std::string run_containers() const { return run_ + "/containers"; }
  std::string run_container(std::string_view id) const { return Join(run_containers(), id); }
  // Rows of containers that never become durable (auto_remove): they are gone after a reboot
  // anyway.
  std::string run_rows() const { return run_ + "/rows"; }
  std::string volatile_row(std::string_view id) const { return Join(run_rows(), id) + ".json"; }
  std::string run_networks() const { return run_ + "/networks"; }
  std::string names_table(std::string_view network_id) const {
    return Join(run_networks(), network_id) + ".names";
  }
  std::string intents() const { return run_ + "/intents"; }
  std::string locks() const { return run_ + "/locks"; }
  std::string lock(std::string_view name) const { return Join(locks(), name); }
  std::string events() const { return run_ + "/events.jsonl"; }
  // There from a boot until containers have been brought back by their restart policies.
  std::string fresh_boot() const { return run_ + "/fresh-boot"; }

  // Makes the folders of both roots (0700). The volatile one is emptied first when it was made
  // before the last boot. One that was not there looks the same: most machines keep it in memory.
  Status Prepare() const;
  // True when both roots stand and the volatile one is of this boot: what Prepare would find.
  bool Prepared() const;

 private:
  static std::string Join(const std::string& folder, std::string_view name) {
    return folder + "/" + std::string(name);
  }

  std::string root_;
  std::string run_;
};

// What distinguishes the kernel objects of one durable root from those of another on the machine:
// eight hexadecimal digits, part of the names of its cgroups, bridges and tables.
std::string RootHash(std::string_view root);

}  // namespace skiff::engine
