#include "engine-core/embedded/events.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/identity.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/journal.h"

namespace skiff::engine::embedded {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kContainerType = "container";

std::optional<Event> Parse(std::string_view line) {
  const Json entry = Json::parse(line, nullptr, false);
  if (!entry.is_object()) return std::nullopt;
  Event event;
  const auto text = [&](const char* key) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto time = entry.find("time");
  // A time past what the type holds is none.
  if (time == entry.end() || !time->is_number_integer()) return std::nullopt;
  if (time->is_number_unsigned() && !std::in_range<int64_t>(time->get<uint64_t>())) return std::nullopt;
  event.time = time->get<int64_t>();
  event.type = text("type");
  event.action = text("action");
  event.actor = text("actor");
  const auto attributes = entry.find("attributes");
  if (attributes != entry.end() && attributes->is_object()) {
    for (const auto& [key, value] : attributes->items()) {
      if (value.is_string()) event.attributes[key] = value.get<std::string>();
    }
  }
  return event;
}

Result<Fd> OpenIfThere(const std::string& path) {
  auto fd = OpenFile(path, O_RDONLY);
  if (!fd && fd.error().code == Code::kNotFound) return Fd();
  return fd;
}

uint64_t InodeOf(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Result<JournalReader> JournalReader::Open(std::string folder) {
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return FailErrno("cannot watch the journal");
  if (::inotify_add_watch(inotify.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVE) < 0) {
    return FailErrno("cannot watch '" + folder + "'");
  }
  JournalReader reader(std::move(folder), std::move(inotify));
  SKIFF_ASSIGN(reader.before_.fd, OpenIfThere(JournalPath(reader.folder_) + ".1"));
  SKIFF_TRY(reader.Switch());
  return reader;
}

// Another file has the name now: the one read so far is kept until the next time.
Status JournalReader::Switch() {
  File next;
  SKIFF_ASSIGN(next.fd, OpenIfThere(JournalPath(folder_)));
  if (!next.fd.valid()) return {};
  next.inode = InodeOf(next.fd.get());
  if (current_.fd.valid()) before_ = std::move(current_);
  current_ = std::move(next);
  return {};
}

Status JournalReader::ReadFile(File& file, std::vector<Event>& events) {
  if (!file.fd.valid()) return {};
  std::string buffer(size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t got = ::read(file.fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the journal");
    if (got == 0) return {};
    file.rest.append(buffer, 0, static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end; (end = file.rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (auto event = Parse(std::string_view(file.rest).substr(begin, end - begin))) {
        events.push_back(std::move(*event));
      }
    }
    file.rest.erase(0, begin);
  }
}

Result<std::vector<Event>> JournalReader::Read() {
  std::vector<Event> events;
  SKIFF_TRY(ReadFile(before_, events));
  SKIFF_TRY(ReadFile(current_, events));
  struct stat info {};
  const bool there = ::stat(JournalPath(folder_).c_str(), &info) == 0;
  if (there && (!current_.fd.valid() || info.st_ino != current_.inode)) {
    SKIFF_TRY(Switch());
    SKIFF_TRY(ReadFile(before_, events));
    SKIFF_TRY(ReadFile(current_, events));
  }
  return events;
}

Result<bool> JournalReader::Await(int64_t until, int cancel_fd) {
  int milliseconds = -1;
  if (until != 0) {
    const int64_t left = (until - NowNanoseconds()) / 1'000'000 + 1;
    if (left <= 0) return false;
    milliseconds = static_cast<int>(std::min<int64_t>(left, 1'000'000));
  }
  pollfd wanted[] = {{inotify_.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
  const int ready = ::poll(wanted, cancel_fd < 0 ? 1 : 2, milliseconds);
  if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for events");
  if (ready > 0 && cancel_fd >= 0 && wanted[1].revents != 0) return false;
  char queued[4096];
  while (::read(inotify_.get(), queued, sizeof queued) > 0) {
  }
  return true;
}

void KnownContainers::Learn(const Event& event) {
  if (event.type != kContainerType) return;
  if (event.action == "create" || event.action == "destroy") Add(event.actor, event.attributes);
  const auto renamed = attributes_.find(event.actor);
  if (event.action == "rename" && renamed != attributes_.end()) {
    const auto name = event.attributes.find("name");
    if (name != event.attributes.end()) renamed->second["name"] = name->second;
  }
}

void KnownContainers::Add(const std::string& id, std::map<std::string, std::string> attributes) {
  attributes_[id] = std::move(attributes);
}

void KnownContainers::Complete(Event& event) const {
  if (event.type != kContainerType) return;
  const auto known = attributes_.find(event.actor);
  if (known == attributes_.end()) return;
  // What the entry says itself has the last word.
  event.attributes.insert(known->second.begin(), known->second.end());
}

std::map<std::string, std::string> EventAttributes(const Labels& labels, const std::string& image,
                                                   const std::string& name) {
  std::map<std::string, std::string> attributes(labels.begin(), labels.end());
  attributes["image"] = image;
  attributes["name"] = name;
  return attributes;
}

Status EmbeddedEngine::ReadEvents(const EventOptions& options,
                                  const std::function<bool(const Event&)>& sink) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(JournalReader journal, JournalReader::Open(layout_.run()));
  const int64_t begin = options.since != 0 ? options.since : NowNanoseconds();
  KnownContainers known;
  SKIFF_ASSIGN(const auto records, store_.Containers());
  for (const auto& record : records) {
    known.Add(record->id, EventAttributes(record->config.labels, record->image, record->name));
  }
  bool first = true;
  for (;;) {
    SKIFF_ASSIGN(std::vector<Event> events, journal.Read());
    for (const Event& event : events) known.Learn(event);
    for (Event& event : events) {
      if (first && event.time < begin) continue;
      if (options.until != 0 && event.time > options.until) return {};
      if (event.type == kContainerType && !known.Knows(event.actor)) {
        const auto record = store_.FindContainer(event.actor);
        if (record) {
          known.Add(event.actor, EventAttributes((*record)->config.labels, (*record)->image,
                                                 (*record)->name));
        }
      }
      known.Complete(event);
      if (!sink(event)) return {};
    }
    first = false;
    SKIFF_ASSIGN(const bool more, journal.Await(options.until, options.cancel_fd));
    if (!more) return {};
  }
}

}  // namespace skiff::engine::embedded
