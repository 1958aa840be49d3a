// COPY, ADD and WORKDIR.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <list>

#include "base/diagnostic.h"
#include "base/failpoint.h"
#include "base/root_path.h"
#include "base/text.h"
#include "base/trace.h"
#include "builder/execute/archive_kind.h"
#include "builder/execute/session.h"
#include "builder/execute/tree_writer.h"

namespace skiff::builder {
namespace {

// What a step says, without the contents of its files.
std::string SpecOf(const CopyStep& copy, const std::vector<std::string>& parents) {
  StepKey key("copy");
  key.Add(copy.link ? std::vector<std::string>() : parents);
  key.Add(copy.destination).Add(copy.owner).Add(copy.mode);
  key.Add(copy.link).Add(copy.parents).Add(copy.unpack_files).Add(copy.unpack_urls);
  key.Add(copy.excludes);
  for (const CopySource& source : copy.sources) key.Add(source.path).Add(source.pattern);
  for (const InlineFile& file : copy.files) key.Add(file.name).Add(file.content);
  return key.Finish();
}

// What is wrong with a name that is not there: a rule hides it, or it is another one.
Error ExplainMissing(const SourceRoot& root, bool is_local, const CopySource& wanted,
                     const Error& error) {
  Error out(Code::kNotFound, "failed to compute cache key: " + error.message);
  out.span = wanted.span;
  const std::string path = wanted.path.substr(wanted.path.starts_with('/') ? 1 : 0);
  if (root.ignore != nullptr) {
    if (const auto* rule = root.ignore->DecidingRule(path)) {
      out.notes.push_back(
          {"it is hidden by the rule '" + rule->pattern + "' of the ignore file", rule->span});
      return out;
    }
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
  const auto fd = OpenInRoot(root.fd, folder.empty() ? "/" : folder, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    out.notes.push_back({"there is no folder '/" + folder + "' either", {}});
    return out;
  }
  const auto names = NamesIn(fd->get(), folder);
  if (!names) return out;
  const std::vector<std::string_view> candidates(names->begin(), names->end());
  const std::string name = path.substr(slash + 1);
  if (const std::string near = DidYouMean(name, candidates); !near.empty()) {
    out.notes.push_back(
        {"did you mean '" + (folder.empty() ? near : folder + "/" + near) + "'?", {}});
  } else if (is_local && names->empty()) {
    out.notes.push_back({"the folder is empty", {}});
  }
  return out;
}

// To the second, as a layer's digest has them.
void AddTimes(StepKey& key, const TreeNode& node) {
  key.Add(node.info.st_mtim.tv_sec);
  for (const TreeNode& child : node.children) AddTimes(key, child);
}

Result<bool> BeginsAsArchive(int root_fd, const SourceItem& item, Fd& file) {
  if (!S_ISREG(item.node.info.st_mode)) return false;
  SKIFF_ASSIGN(file, OpenInRoot(root_fd, item.path, O_RDONLY | O_NONBLOCK));
  char block[512];
  const ssize_t got = ::pread(file.get(), block, sizeof block, 0);
  if (got < 0) return FailErrno("cannot read '/" + item.path + "'");
  return LooksLikeArchive({block, static_cast<size_t>(got)});
}

}  // namespace

Result<BuildSession::OpenedSource> BuildSession::OpenSource(const Source& source) {
  OpenedSource opened;
  const LocalContext* local = nullptr;
  if (std::holds_alternative<BuildContext>(source)) {
    if (settings_.context) local = &*settings_.context;
  } else if (const auto* named = std::get_if<ContextSource>(&source)) {
    const auto it = settings_.contexts.find(named->name);
    if (it == settings_.contexts.end()) {
      return Fail(Code::kUnsupported, "the context '" + named->name + "' is no folder");
    }
    local = &it->second;
  }
  if (local != nullptr) {
    SKIFF_ASSIGN(opened.fd, OpenFile(local->folder, O_RDONLY | O_DIRECTORY));
    opened.folder = local->folder;
    opened.lasting = local->lasting;
    opened.root = {opened.fd.get(), local->ignore};
    return opened;
  }
  SKIFF_ASSIGN(opened.layers, LayersOf(source));
  SKIFF_ASSIGN(opened.layer, CreateLayer(opened.layers));
  SKIFF_ASSIGN(opened.fd, opened.layer->OpenRoot());
  opened.root = {opened.fd.get(), nullptr};
  return opened;
}

DigestStore* BuildSession::DigestsOf(const OpenedSource& source) {
  return source.lasting ? &shared_.Digests(source.folder) : nullptr;
}

Result<std::vector<SourceItem>> BuildSession::SelectItems(const CopyStep& copy,
                                                          const CopySource& wanted,
                                                          const OpenedSource& source) {
  const TraceSpan span("build.select");
  auto selected = SelectSources(source.root, {wanted.path, wanted.pattern, copy.excludes});
  if (!selected && selected.error().code == Code::kNotFound) {
    return Fail(ExplainMissing(source.root, source.is_local(), wanted, selected.error()));
  }
  return selected;
}

// A step with files at addresses.
Result<MadeLayer> BuildSession::MakeAdd(const StepPlace& place, const CopyStep& copy,
                                        const std::string& spec) {
  OpenedSource files;
  std::list<RemoteSource> remotes;
  Items items;
  for (const CopySource& wanted : copy.sources) {
    Selection selection;
    if (wanted.kind == CopyKind::kFiles) {
      if (!files.fd) {
        SKIFF_ASSIGN(files, OpenSource(copy.from));
      }
      selection.source = &files;
      selection.unpack = copy.unpack_files;
      SKIFF_ASSIGN(selection.items, SelectItems(copy, wanted, files));
    } else {
      auto remote = Resolve(place, copy, wanted);
      if (!remote) return Fail(std::move(remote.error()).At(wanted.span));
      selection.identity = remote->identity;
      selection.unpack = copy.unpack_urls && wanted.kind == CopyKind::kUrl;
      remotes.push_back(std::move(*remote));
    }
    items.push_back(std::move(selection));
  }
  return CopyFound(place, copy, items, spec, [&]() -> Status {
    auto remote = remotes.begin();
    for (Selection& selection : items) {
      if (selection.source != nullptr) continue;
      const Status fetched = Fetch(place, *remote);
      if (!fetched) return Fail(Error(fetched.error()).At(remote->source->span));
      selection.source = &remote->opened;
      const std::string path = "/" + (remote->name.empty() ? remote->git.subdir : remote->name);
      SKIFF_ASSIGN(selection.items,
                   SelectItems(copy, {CopyKind::kFiles, path, "", remote->source->span},
                               remote->opened));
      SKIFF_TRY(DigestFiles(remote->opened.fd.get(), selection.items, nullptr));
      ++remote;
    }
    return {};
  });
}

Result<MadeLayer> BuildSession::MakeCopy(const StepPlace& place, const CopyStep& copy) {
  const std::string spec = SpecOf(copy, place.parents);
  const auto nothing = [] { return Status(); };
  const auto is_remote = [](const CopySource& source) { return source.kind != CopyKind::kFiles; };
  if (std::ranges::any_of(copy.sources, is_remote)) return MakeAdd(place, copy, spec);
  Items items;
  if (copy.sources.empty()) return CopyFound(place, copy, items, spec, nothing);
  const bool is_local = std::holds_alternative<BuildContext>(copy.from) ||
                        std::holds_alternative<ContextSource>(copy.from);
  std::string by_layers;
  if (!is_local) {
    // Equal layers have equal contents, which need not be looked at then.
    SKIFF_ASSIGN(const std::vector<std::string> layers, LayersOf(copy.from));
    by_layers = StepKey("by layers").Add(spec).Add(layers).Finish();
    if (UsesCache(place.stage)) {
      SKIFF_ASSIGN(const auto known, FindLayer(EntryKey(by_layers)));
      if (known) return *known;
    }
  }
  SKIFF_ASSIGN(const OpenedSource source, OpenSource(copy.from));
  for (const CopySource& wanted : copy.sources) {
    SKIFF_ASSIGN(auto selected, SelectItems(copy, wanted, source));
    items.push_back({&source, std::move(selected), "", copy.unpack_files});
  }
  SKIFF_ASSIGN(const MadeLayer made, CopyFound(place, copy, items, spec, nothing));
  if (!is_local && made.keep) SKIFF_TRY(KeepLayer(EntryKey(by_layers), made));
  return made;
}

// `fetch` completes `items` when the layer has to be made.
Result<MadeLayer> BuildSession::CopyFound(const StepPlace& place, const CopyStep& copy,
                                          Items& items, const std::string& spec,
                                          const std::function<Status()>& fetch) {
  TraceSpan span("build.digest");
  StepKey key("contents");
  key.Add(spec);
  for (Selection& selection : items) {
    if (selection.source == nullptr) {
      key.Add(selection.identity);
      continue;
    }
    const OpenedSource& source = *selection.source;
    SKIFF_TRY(DigestFiles(source.fd.get(), selection.items, DigestsOf(source)));
    const bool owned_by_root = source.is_local() || !copy.owner.empty();
    SKIFF_ASSIGN(const std::string digest,
                 DigestItems(source.fd.get(), selection.items, owned_by_root));
    key.Add(digest);
  }
  span.Done();
  const std::string contents = key.Finish();
  const auto copy_files = [&]() -> Result<MadeLayer> {
    SKIFF_TRY(fetch());
    return CopyFiles(place, copy, items);
  };
  const auto is_local = [](const Selection& selection) {
    return selection.source != nullptr && selection.source->is_local();
  };
  if (!std::ranges::all_of(items, is_local)) return Cached(place, contents, copy_files);
  StepKey times("times");
  times.Add(contents);
  for (const Selection& selection : items) {
    for (const SourceItem& item : selection.items) AddTimes(times, item.node);
  }
  const std::string twin = EntryKey(times.Finish());
  return Cached(place, contents, [&]() -> Result<MadeLayer> {
    // Files that differ not even in their times would become the same layer once more: also without
    // the cache nothing is written, and thousands of files need not be thrown away again.
    SKIFF_ASSIGN(auto same, FindLayer(twin));
    if (same) {
      same->cached = false;
      return *same;
    }
    SKIFF_ASSIGN(const MadeLayer made, copy_files());
    if (made.keep) SKIFF_TRY(KeepLayer(twin, made));
    return made;
  });
}

Result<MadeLayer> BuildSession::CopyFiles(const StepPlace& place, const CopyStep& copy,
                                          const Items& items) {
  const TraceSpan span("build.copy");
  SKIFF_TRY(Failpoint("build.copy"));
  SKIFF_ASSIGN(const auto layer,
               CreateLayer(copy.link ? std::vector<std::string>() : place.parents));
  bool changed = false;
  {
    SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
    WriteOptions options;
    options.mode = copy.mode;
    if (!copy.owner.empty()) {
      SKIFF_ASSIGN(options.owner, ResolveOwner(root.get(), copy.owner));
    }
    SKIFF_ASSIGN(const Fd written, layer->OpenWritten());
    for (const Selection& selection : items) {
      const OpenedSource& source = *selection.source;
      options.owned_by_root = source.is_local();
      TreeWriter writer(source.fd.get(), root.get(), options, written.get());
      for (const SourceItem& item : selection.items) {
        if (Stopped()) return Fail(Code::kCancelled, "the build was stopped");
        if (selection.unpack) {
          SKIFF_ASSIGN(const bool unpacked, Unpack(source, item, root.get(), copy));
          if (unpacked) continue;
        }
        SKIFF_TRY(writer.Copy(item, copy.destination));
      }
      changed = changed || writer.source_changed();
    }
    TreeWriter writer(-1, root.get(), options, written.get());
    for (const InlineFile& file : copy.files) {
      SKIFF_TRY(writer.WriteFile(file.name, file.content, copy.destination));
    }
  }
  SKIFF_ASSIGN(MadeLayer made, Commit(*layer));
  made.keep = !changed;
  return made;
}

// An archive's files go to the destination, merged with what is there.
Result<bool> BuildSession::Unpack(const OpenedSource& source, const SourceItem& item, int target,
                                  const CopyStep& copy) {
  Fd file;
  SKIFF_ASSIGN(const bool maybe, BeginsAsArchive(source.fd.get(), item, file));
  if (!maybe) return false;
  WriteOptions options;
  options.archive_since = shared_.now();
  SKIFF_ASSIGN(const auto layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(const bool unpacked, shared_.engine().UnpackArchive(file.get(), *layer));
  if (!unpacked) return false;
  SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
  if (!copy.owner.empty()) {
    SKIFF_ASSIGN(options.owner, ResolveOwner(target, copy.owner));
  }
  SKIFF_ASSIGN(const std::vector<SourceItem> all,
               SelectSources({root.get(), nullptr}, {"/", "", {}}));
  TreeWriter writer(root.get(), target, options);
  for (const SourceItem& everything : all) {
    SKIFF_TRY(writer.Copy(everything, copy.destination));
  }
  return true;
}

Result<MadeLayer> BuildSession::MakeWorkdir(const StepPlace& place, const WorkdirStep& workdir) {
  StepKey key("workdir");
  key.Add(place.parents).Add(workdir.path).Add(workdir.owner);
  return Cached(place, key.Finish(), [&]() -> Result<MadeLayer> {
    SKIFF_ASSIGN(const auto layer, CreateLayer(place.parents));
    {
      SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
      WriteOptions options;
      if (!workdir.owner.empty()) {
        SKIFF_ASSIGN(options.owner, ResolveOwner(root.get(), workdir.owner));
      }
      SKIFF_TRY(TreeWriter(-1, root.get(), options).MakeFolders(workdir.path));
    }
    return Commit(*layer);
  });
}

}  // namespace skiff::builder
