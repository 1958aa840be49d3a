#include "engine-core/child/inside/user.h"

#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

constexpr size_t kFileLimit = 1u << 20;
constexpr size_t kLineLimit = 64u << 10;
constexpr uint64_t kMaximumId = 0x7fffffff;

// In the program's zero pages: only the new process ever touches them.
char g_line[kLineLimit + 1];
char g_chunk[16u << 10];

[[noreturn]] void Refuse(const char* file, const char* why) {
  Text<256> text;
  text.Add("cannot use the container's ");
  text.Add(file);
  text.Add(": ");
  text.Add(why);
  DieWith(text.data, EINVAL, 128);
}

// Reads lines of a file that the image controls.
class Lines {
 public:
  Lines(int root, const char* path) : path_(path) {
    const int probe = OpenInRoot(root, path, kOpenPath);
    if (probe == -ENOENT || probe == -ENOTDIR) return;
    if (probe < 0) Die(probe, "cannot open the container's", path);
    // Looked at before it is opened: opening a device or a pipe may have effects.
    if (!IsRegular(probe)) Refuse(path, "it is not a regular file");
    Close(probe);
    fd_ = OpenInRoot(root, path, kOpenNonblock | kOpenNoctty);
    if (fd_ < 0) Die(fd_, "cannot open the container's", path);
    if (!IsRegular(fd_)) Refuse(path, "it is not a regular file");
  }
  ~Lines() {
    if (fd_ >= 0) Close(fd_);
  }

  // The next line without its end, writable; null at the end of the file.
  char* Next() {
    if (fd_ < 0) return nullptr;
    size_t size = 0;
    for (;;) {
      if (at_ == have_ && !Fill()) {
        if (size == 0) return nullptr;
        break;
      }
      const char byte = g_chunk[at_++];
      if (byte == '\n') break;
      if (size == kLineLimit) Refuse(path_, "it has a line of more than 64 KiB");
      g_line[size++] = byte;
    }
    g_line[size] = 0;
    return g_line;
  }

 private:
  bool Fill() {
    const Word got = Read(fd_, g_chunk, sizeof g_chunk);
    if (got < 0) Die(got, "cannot read the container's", path_);
    total_ += static_cast<size_t>(got);
    if (total_ > kFileLimit) Refuse(path_, "it is larger than 1 MiB");
    at_ = 0;
    have_ = static_cast<size_t>(got);
    return got > 0;
  }

  const char* path_;
  int fd_ = -1;
  size_t at_ = 0;
  size_t have_ = 0;
  size_t total_ = 0;
};

// Cuts the line at colons in place. Returns how many fields there are, at most `limit`.
size_t Fields(char* line, char** fields, size_t limit) {
  size_t count = 0;
  fields[count++] = line;
  for (char* at = line; *at != 0 && count < limit; ++at) {
    if (*at != ':') continue;
    *at = 0;
    fields[count++] = at + 1;
  }
  return count;
}

// True for a number as a person writes one: digits with at most one sign before them.
bool IsNumber(const char* text) {
  if (*text == '+' || *text == '-') ++text;
  if (*text == 0) return false;
  for (; *text != 0; ++text) {
    if (*text < '0' || *text > '9') return false;
  }
  return true;
}

// The id, or false when it is out of range.
bool ParseId(const char* text, uint32_t* id) {
  const bool negative = *text == '-';
  if (*text == '+' || *text == '-') ++text;
  uint64_t value = 0;
  for (; *text != 0; ++text) {
    value = value * 10 + static_cast<uint64_t>(*text - '0');
    if (value > kMaximumId) return false;
  }
  if (negative && value != 0) return false;
  *id = static_cast<uint32_t>(value);
  return true;
}

uint32_t IdOrDie(const char* text) {
  uint32_t id = 0;
  if (ParseId(text, &id)) return id;
  Text<256> message;
  message.Add("uids and gids must be in range 0-2147483647: '");
  message.Add(text);
  message.Add("'");
  DieWith(message.data, EINVAL, 128);
}

[[noreturn]] void NotFound(const char* kind, const char* name, const char* file) {
  Text<512> text;
  text.Add("unable to find ");
  text.Add(kind);
  text.Add(" ");
  text.Add(name);
  text.Add(": no matching entries in ");
  text.Add(file);
  text.Add(" file");
  DieWith(text.data, ENOENT, 126);
}

void Copy(char* to, size_t size, const char* from) {
  size_t i = 0;
  for (; from[i] != 0 && i + 1 < size; ++i) to[i] = from[i];
  to[i] = 0;
}

void AddGroup(Identity* identity, uint32_t gid) {
  for (size_t i = 0; i < identity->group_count; ++i) {
    if (identity->groups[i] == gid) return;
  }
  if (identity->group_count == kMaximumGroups)
    DieWith("the container's user is in more than 1024 groups", EINVAL, 128);
  identity->groups[identity->group_count++] = gid;
}

bool IsMember(const char* members, const char* name) {
  const size_t size = Length(name);
  while (*members != 0) {
    size_t count = 0;
    while (members[count] != 0 && members[count] != ',') ++count;
    if (count == size && StartsWith(members, name)) return true;
    members += count;
    if (*members == ',') ++members;
  }
  return false;
}

// Looks the user up in passwd. `name` gets its login name, or "" for a number nobody has.
void FindUser(int root, const char* user, Identity* identity, Text<256>* name) {
  const bool number = *user == 0 || IsNumber(user);
  uint32_t wanted = 0;
  if (*user != 0 && number) wanted = IdOrDie(user);
  Lines lines(root, "/etc/passwd");
  while (char* line = lines.Next()) {
    char* fields[7];
    const size_t count = Fields(line, fields, 7);
    if (count < 4 || !IsNumber(fields[2]) || !IsNumber(fields[3])) continue;
    uint32_t uid = 0, gid = 0;
    const bool usable = ParseId(fields[2], &uid) && ParseId(fields[3], &gid);
    if (number ? (!usable || uid != wanted) : !Same(fields[0], user)) continue;
    if (!usable) DieWith("uids and gids must be in range 0-2147483647", EINVAL, 128);
    identity->uid = uid;
    identity->gid = gid;
    name->Add(fields[0]);
    if (count >= 6 && *fields[5] != 0) Copy(identity->home, sizeof identity->home, fields[5]);
    return;
  }
  if (!number) NotFound("user", user, "passwd");
  identity->uid = wanted;
}

// Takes the gid of `group` into `gid`; true when the file has it.
bool FindGroup(int root, const char* group, uint32_t* gid) {
  Lines lines(root, "/etc/group");
  while (char* line = lines.Next()) {
    char* fields[4];
    const size_t count = Fields(line, fields, 4);
    if (count >= 3 && IsNumber(fields[2]) && Same(fields[0], group) && ParseId(fields[2], gid))
      return true;
  }
  return false;
}

uint32_t GroupOrDie(int root, const char* group) {
  uint32_t gid = 0;
  if (IsNumber(group)) return IdOrDie(group);
  if (!FindGroup(root, group, &gid)) NotFound("group", group, "group");
  return gid;
}

void AddMemberships(int root, const char* name, Identity* identity) {
  Lines lines(root, "/etc/group");
  while (char* line = lines.Next()) {
    char* fields[4];
    if (Fields(line, fields, 4) < 4 || !IsNumber(fields[2])) continue;
    uint32_t gid = 0;
    if (ParseId(fields[2], &gid) && IsMember(fields[3], name)) AddGroup(identity, gid);
  }
}

}  // namespace

void ResolveUser(int root, const char* user, const List<const char*>& extra, Identity* identity) {
  Text<256> name_part;
  const char* at = user;
  while (*at != 0 && *at != ':') name_part.AddByte(*at++);
  const char* group = *at == ':' ? at + 1 : "";
  if (name_part.truncated) DieWith("the container's user is too long", EINVAL, 128);

  Copy(identity->home, sizeof identity->home, "/");
  Text<256> login;
  FindUser(root, name_part.data, identity, &login);
  if (*group != 0) identity->gid = GroupOrDie(root, group);
  // The primary group is among the others too: a set-group-ID program can't shake it off, and files
  // that shut this group out stay shut (CVE-2022-36109).
  AddGroup(identity, identity->gid);
  if (*group == 0 && login.size != 0) AddMemberships(root, login.data, identity);
  for (const char* wanted : extra) AddGroup(identity, GroupOrDie(root, wanted));
}

}  // namespace skiff::engine::child::inside
