#include "builder/execute/source_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/root_path.h"
#include "base/text.h"
#include "builder/execute/glob.h"

namespace skiff::builder {
namespace {

constexpr int kMaximumDepth = 512;  // Each level holds a descriptor.
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

std::string Below(const std::string& folder, std::string_view name) {
  return folder.empty() ? std::string(name) : folder + "/" + std::string(name);
}

Result<std::string> ReadLinkAt(int folder, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  if (length < 0) return FailErrno("cannot read the link '" + name + "'");
  target.resize(static_cast<size_t>(length));
  return target;
}

// What is known about a path's folders when its name is judged.
struct Trails {
  IgnoreMatcher::Trail ignore, exclude, include;
};

class Walker {
 public:
  Walker(const SourceRoot& root, IgnoreMatcher excludes, IgnoreMatcher includes,
         const std::string& include)
      : root_(root), excludes_(std::move(excludes)), includes_(std::move(includes)) {
    for (const std::string_view part : Split(include, '/')) {
      if (!include.empty()) include_parts_.emplace_back(part);
    }
  }

  // What the ignore file says about the folders on the way to `path`.
  IgnoreMatcher::Trail IgnoreTrail(const std::string& path) const;
  // The children of the folder; `path` from the root, `inside` from where the selection begins.
  Status Folder(int fd, const std::string& path, const std::string& inside, const Trails& trails,
                int depth, TreeNode& node) const;
  Status Glob(int fd, const std::string& path, const IgnoreMatcher::Trail& trail,
              const std::vector<std::string>& parts, size_t at,
              std::vector<std::string>& matches) const;

 private:
  bool MayInclude(const std::string& inside) const;
  bool Judge(const std::string& path, const std::string& inside, const Trails& above, Trails& own,
             bool* may_enter) const;
  Status Entry(int fd, const std::string& path, const std::string& inside, const Trails& trails,
               int depth, TreeNode& child, bool* taken) const;

  const SourceRoot& root_;
  IgnoreMatcher excludes_, includes_;
  std::vector<std::string> include_parts_;
};

IgnoreMatcher::Trail Walker::IgnoreTrail(const std::string& path) const {
  IgnoreMatcher::Trail trail;
  if (root_.ignore == nullptr || path.empty()) return trail;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    trail = root_.ignore->Step(trail, path.substr(0, end));
  }
  return trail;
}

// Whether something below the folder may match the pattern of what is included.
bool Walker::MayInclude(const std::string& inside) const {
  const auto names = Split(inside, '/');
  for (size_t i = 0; i < names.size() && i < include_parts_.size(); ++i) {
    if (include_parts_[i].find("**") != std::string::npos) return true;
    if (!MatchesGlob(include_parts_[i], names[i])) return false;
  }
  return names.size() < include_parts_.size();
}

// Whether the path is selected. `may_enter`: something below it may be, if it is a folder.
bool Walker::Judge(const std::string& path, const std::string& inside, const Trails& above,
                   Trails& own, bool* may_enter) const {
  bool take = true;
  *may_enter = true;
  if (root_.ignore != nullptr && !root_.ignore->empty()) {
    own.ignore = root_.ignore->Step(above.ignore, path);
    take = !own.ignore.ignored;
    *may_enter = take || root_.ignore->MayContainException(path);
  }
  if (!excludes_.empty()) {
    own.exclude = excludes_.Step(above.exclude, inside);
    take = take && !own.exclude.ignored;
    *may_enter = *may_enter && (!own.exclude.ignored || excludes_.MayContainException(inside));
  }
  if (!includes_.empty()) {
    own.include = includes_.Step(above.include, inside);
    take = take && own.include.ignored;
    *may_enter = *may_enter && (own.include.ignored || MayInclude(inside));
  }
  return take;
}

Status Walker::Entry(int fd, const std::string& path, const std::string& inside,
                     const Trails& trails, int depth, TreeNode& child, bool* taken) const {
  Trails own;
  bool may_enter = false;
  *taken = Judge(path, inside, trails, own, &may_enter);
  if (!*taken && !may_enter) return {};
  if (::fstatat(fd, child.name.c_str(), &child.info, AT_SYMLINK_NOFOLLOW) != 0) {
    // It went away while the folder was read.
    if (errno == ENOENT) return *taken = false, Status();
    return FailErrno("cannot read '/" + path + "'");
  }
  if (child.is_folder()) {
    if (!may_enter) return {};
    SKIFF_ASSIGN(const Fd folder, OpenFileAt(fd, child.name, kFolderFlags));
    SKIFF_TRY(Folder(folder.get(), path, inside, own, depth + 1, child));
    *taken = *taken || !child.children.empty();
  } else if (*taken && S_ISLNK(child.info.st_mode)) {
    SKIFF_ASSIGN(child.link, ReadLinkAt(fd, child.name));
  }
  return {};
}

Status Walker::Folder(int fd, const std::string& path, const std::string& inside,
                      const Trails& trails, int depth, TreeNode& node) const {
  if (depth > kMaximumDepth) {
    return Fail(Code::kExhausted,
                "cannot read '/" + path.substr(0, 200) + "...': folders are nested too deeply");
  }
  SKIFF_ASSIGN(std::vector<std::string> names, NamesIn(fd, path));
  for (std::string& name : names) {
    TreeNode child;
    child.name = std::move(name);
    bool taken = false;
    SKIFF_TRY(Entry(fd, Below(path, child.name), Below(inside, child.name), trails, depth, child,
                    &taken));
    if (taken) node.children.push_back(std::move(child));
  }
  return {};
}

Status Walker::Glob(int fd, const std::string& path, const IgnoreMatcher::Trail& trail,
                    const std::vector<std::string>& parts, size_t at,
                    std::vector<std::string>& matches) const {
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(fd, path));
  const bool last = at + 1 == parts.size();
  for (const std::string& name : names) {
    if (!MatchesGlob(parts[at], name)) continue;
    const std::string own = Below(path, name);
    IgnoreMatcher::Trail step;
    if (root_.ignore != nullptr) {
      step = root_.ignore->Step(trail, own);
      if (step.ignored && !root_.ignore->MayContainException(own)) continue;
    }
    if (last) {
      matches.push_back(own);
      continue;
    }
    const auto folder = OpenFileAt(fd, name, kFolderFlags);
    if (folder) SKIFF_TRY(Glob(folder->get(), own, step, parts, at + 1, matches));
  }
  return {};
}

// One path as an item. With an ignore file, what counts is where it really lies.
Result<std::optional<SourceItem>> Select(const SourceRoot& root, const Walker& walker,
                                         const std::string& path) {
  SourceItem item;
  item.path = path;
  item.node.name = path.substr(path.rfind('/') + 1);
  SKIFF_ASSIGN(const Fd place, OpenInRoot(root.fd, path.empty() ? "/" : path, O_PATH));
  if (::fstat(place.get(), &item.node.info) != 0) return FailErrno("cannot read '/" + path + "'");
  std::string real = path;
  Trails trails;
  if (root.ignore != nullptr && !root.ignore->empty()) {
    SKIFF_ASSIGN(real, RealPathInRoot(root.fd, path));
    trails.ignore = walker.IgnoreTrail(real);
  }
  if (!item.node.is_folder()) {
    if (trails.ignore.ignored) return std::optional<SourceItem>();
    return std::optional(std::move(item));
  }
  SKIFF_ASSIGN(const Fd folder,
               OpenInRoot(root.fd, path.empty() ? "/" : path, O_RDONLY | O_DIRECTORY));
  SKIFF_TRY(walker.Folder(folder.get(), real, "", trails, 0, item.node));
  if (trails.ignore.ignored && item.node.children.empty()) return std::optional<SourceItem>();
  return std::optional(std::move(item));
}

// "a/b/*.c": "a/b" and {"*.c"}.
std::pair<std::string, std::vector<std::string>> SplitGlob(std::string_view path) {
  std::string literal;
  std::vector<std::string> parts;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty()) continue;
    if (parts.empty() && !IsGlob(part)) {
      literal = Below(literal, part);
    } else {
      parts.emplace_back(part);
    }
  }
  return {literal, parts};
}

}  // namespace

Result<std::vector<std::string>> NamesIn(int folder_fd, const std::string& path) {
  SKIFF_ASSIGN(Fd again, OpenFileAt(folder_fd, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(again.get()), ::closedir);
  if (!folder) return FailErrno("cannot read '/" + path + "'");
  again.Release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return FailErrno("cannot read '/" + path + "'");
  std::ranges::sort(names);
  return names;
}

Result<std::string> RealPathInRoot(int root_fd, const std::string& path) {
  SKIFF_ASSIGN(const Fd place, OpenInRoot(root_fd, path.empty() ? "/" : path, O_PATH));
  SKIFF_ASSIGN(const std::string real,
               ReadLinkAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(place.get())));
  SKIFF_ASSIGN(const std::string root,
               ReadLinkAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(root_fd)));
  if (real == root) return std::string();
  const size_t prefix = root == "/" ? 1 : root.size() + 1;
  if (real.size() <= prefix) return Fail(Code::kInternal, "'" + real + "' is not in " + root);
  return real.substr(prefix);
}

Result<std::vector<SourceItem>> SelectSources(const SourceRoot& root, const SourceQuery& query) {
  SKIFF_ASSIGN(IgnoreMatcher excludes, IgnoreMatcher::FromPatterns(query.excludes));
  std::vector<std::string> include;
  if (!query.include.empty()) include.push_back(query.include);
  SKIFF_ASSIGN(IgnoreMatcher includes, IgnoreMatcher::FromPatterns(include));
  const Walker walker(root, std::move(excludes), std::move(includes), query.include);
  const auto [literal, parts] = SplitGlob(query.path);
  std::vector<std::string> paths = {literal};
  if (!parts.empty()) {
    paths.clear();
    const auto base = OpenInRoot(root.fd, literal.empty() ? "/" : literal, O_RDONLY | O_DIRECTORY);
    if (!base && base.error().code != Code::kNotFound) return Fail(base.error());
    if (base) {
      SKIFF_TRY(walker.Glob(base->get(), literal, walker.IgnoreTrail(literal), parts, 0, paths));
    }
  }
  std::vector<SourceItem> items;
  for (const std::string& path : paths) {
    auto item = Select(root, walker, path);
    const bool missing = item ? !item->has_value() : item.error().code == Code::kNotFound;
    if (!item && !missing) return Fail(std::move(item.error()));
    if (!missing) {
      items.push_back(std::move(**item));
    } else if (parts.empty()) {
      return Fail(Code::kNotFound, "\"/" + path + "\": not found");
    }
  }
  return items;
}

}  // namespace skiff::builder
