// The floor: what the kernel itself charges for a container. Makes the same namespaces, overlay
// mount, mounts and masks, veth on a bridge, cgroups, seccomp filter and exec as Skiff does, by
// bare system calls, and prints how long N of them take, serially and on all cores.
//
//   floor [--count N] [--no-network] [--root FOLDER] [--program PATH]
//
// Needs root. Everything it makes carries its process id and is removed at the end.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/text.h"

namespace skiff::floor {
namespace {

struct Options {
  int count = 10;
  bool network = true;
  std::string root;
  std::string program = "/bin/busybox";
};

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// ---- rtnetlink -------------------------------------------------------------------------------

// One request under construction; attributes nest by Begin/End.
class Request {
 public:
  Request(uint16_t type, uint16_t flags) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    buffer_.resize(sizeof header_);
  }
  template <typename T>
  Request& Body(const T& body) {
    buffer_.append(reinterpret_cast<const char*>(&body), sizeof body);
    Align();
    return *this;
  }
  Request& Attribute(uint16_t type, const void* data, size_t size) {
    rtattr attribute = {static_cast<uint16_t>(sizeof attribute + size), type};
    buffer_.append(reinterpret_cast<const char*>(&attribute), sizeof attribute);
    buffer_.append(static_cast<const char*>(data), size);
    Align();
    return *this;
  }
  Request& Text(uint16_t type, const std::string& text) {
    return Attribute(type, text.c_str(), text.size() + 1);
  }
  Request& Number(uint16_t type, uint32_t value) { return Attribute(type, &value, sizeof value); }
  size_t Begin(uint16_t type) {
    const size_t at = buffer_.size();
    Attribute(type, "", 0);
    return at;
  }
  void End(size_t at) {
    const auto length = static_cast<uint16_t>(buffer_.size() - at);
    std::memcpy(buffer_.data() + at, &length, sizeof length);
  }
  // Sends it and waits for the acknowledgement; the kernel's errno, or 0.
  int Send(int socket) {
    header_.nlmsg_len = static_cast<uint32_t>(buffer_.size());
    std::memcpy(buffer_.data(), &header_, sizeof header_);
    if (::send(socket, buffer_.data(), buffer_.size(), 0) < 0) return errno;
    std::array<char, 8192> reply;
    for (;;) {
      const ssize_t n = ::recv(socket, reply.data(), reply.size(), 0);
      if (n < 0) return errno;
      nlmsghdr answer;
      std::memcpy(&answer, reply.data(), sizeof answer);
      if (answer.nlmsg_type != NLMSG_ERROR) continue;
      nlmsgerr error;
      std::memcpy(&error, reply.data() + sizeof answer, sizeof error);
      return -error.error;
    }
  }

 private:
  void Align() { buffer_.resize((buffer_.size() + 3) & ~size_t{3}); }
  nlmsghdr header_ = {};
  std::string buffer_;
};

Fd OpenRoutingSocket() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) Die("netlink socket");
  return socket;
}

void MustSend(Request& request, int socket, const char* what) {
  errno = request.Send(socket);
  if (errno != 0) Die(what);
}

uint32_t MakeBridge(int socket, const std::string& name) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg info = {};
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  request.Body(info).Text(IFLA_IFNAME, name);
  const size_t link = request.Begin(IFLA_LINKINFO);
  request.Text(IFLA_INFO_KIND, "bridge");
  request.End(link);
  MustSend(request, socket, "bridge");
  return ::if_nametoindex(name.c_str());
}

// A veth pair made from inside the container's namespace: eth0 here, the host end there.
void MakeVeth(int inside, int host_namespace, const std::string& host_name, uint32_t group) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg info = {};
  request.Body(info).Text(IFLA_IFNAME, "eth0");
  const size_t link = request.Begin(IFLA_LINKINFO);
  request.Text(IFLA_INFO_KIND, "veth");
  const size_t data = request.Begin(IFLA_INFO_DATA);
  const size_t peer = request.Begin(VETH_INFO_PEER);
  request.Body(info).Text(IFLA_IFNAME, host_name);
  request.Attribute(IFLA_NET_NS_FD, &host_namespace, sizeof host_namespace);
  request.Number(IFLA_GROUP, group);
  request.End(peer);
  request.End(data);
  request.End(link);
  MustSend(request, inside, "veth");
}

void SetUp(int socket, uint32_t index, uint32_t master) {
  Request request(RTM_NEWLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(index);
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  request.Body(info);
  if (master != 0) request.Number(IFLA_MASTER, master);
  MustSend(request, socket, "link up");
}

void AddAddress(int socket, uint32_t index, uint32_t number) {
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg info = {};
  info.ifa_family = AF_INET;
  info.ifa_prefixlen = 16;
  info.ifa_index = index;
  const std::array<uint8_t, 4> address = {10, 213, static_cast<uint8_t>(number >> 8),
                                          static_cast<uint8_t>(number & 255)};
  request.Body(info);
  request.Attribute(IFA_LOCAL, address.data(), address.size());
  MustSend(request, socket, "address");
}

// ---- one container ---------------------------------------------------------------------------

struct Machine {
  Options options;
  std::string name;
  std::string folder;
  std::vector<std::string> hierarchies;  // cgroup mounts: every v1 one and the v2 one.
  int host_namespace = -1;
  uint32_t bridge = 0;
  uint32_t group = 0;
};

struct Box {
  pid_t pid = -1;
  int pidfd = -1;
};

void Mount(const char* source, const std::string& target, const char* type, unsigned long flags,
           const char* data = nullptr) {
  if (::mount(source, target.c_str(), type, flags, data) != 0) Die(target.c_str());
}

// As docker's default: about thirty mounts and masks.
void MountEverything(const Machine& machine, const std::string& own) {
  Mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE);
  const std::string root = own + "/merged";
  const std::string data =
      "lowerdir=" + machine.folder + "/lower,upperdir=" + own + "/upper,workdir=" + own + "/work";
  Mount("overlay", root, "overlay", 0, data.c_str());
  Mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  Mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  for (const char* name : {"pts", "shm", "mqueue"}) ::mkdir((root + "/dev/" + name).c_str(), 0755);
  Mount("devpts", root + "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620,gid=5");
  Mount("shm", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
  Mount("mqueue", root + "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  Mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY);
  for (const auto& [name, minor] :
       {std::pair("null", 3), std::pair("zero", 5), std::pair("full", 7), std::pair("random", 8),
        std::pair("urandom", 9)}) {
    ::mknod((root + "/dev/" + name).c_str(), S_IFCHR | 0666,
            ::makedev(1, static_cast<unsigned>(minor)));
  }
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"}) {
    if (::access((root + path).c_str(), F_OK) == 0) {
      Mount("/dev/null", root + path, nullptr, MS_BIND);
    }
  }
  for (const char* path : {"/proc/acpi", "/proc/scsi", "/sys/firmware"}) {
    if (::access((root + path).c_str(), F_OK) == 0) {
      Mount("tmpfs", root + path, "tmpfs", MS_RDONLY, "size=0k");
    }
  }
  for (const char* path :
       {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    if (::access((root + path).c_str(), F_OK) != 0) continue;
    Mount((root + path).c_str(), root + path, nullptr, MS_BIND | MS_REC);
    Mount(nullptr, root + path, nullptr,
          MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  }
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    Mount((own + "/" + name).c_str(), root + "/etc/" + name, nullptr, MS_BIND);
  }
  if (::chdir(root.c_str()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    Die("pivot_root");
  }
}

// A filter as long as docker's default policy compiles to, that allows everything.
void LoadFilter() {
  std::vector<sock_filter> filter(300, sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) Die("seccomp");
}

void RunInside(const Machine& machine, const std::string& own, int ready, int go,
               const std::vector<int>& cgroup_fds) {
  for (const int fd : cgroup_fds) {
    if (::write(fd, "0", 1) != 1) Die("cgroup.procs");
  }
  if (::unshare(CLONE_NEWCGROUP) != 0) Die("cgroup namespace");
  if (::sethostname("floor", 5) != 0) Die("sethostname");
  MountEverything(machine, own);
  char byte = 'r';
  if (::write(ready, &byte, 1) != 1 || ::read(go, &byte, 1) != 1) ::_exit(1);
  LoadFilter();
  const char* const arguments[] = {"sleep", "1000000", nullptr};
  const char* const environment[] = {"PATH=/bin", nullptr};
  ::execve("/bin/busybox", const_cast<char* const*>(arguments),
           const_cast<char* const*>(environment));
  Die("exec");
}

Box StartBox(const Machine& machine, int number) {
  const std::string own = machine.folder + "/" + std::to_string(number);
  for (const char* name : {"", "/upper", "/work", "/merged"}) ::mkdir((own + name).c_str(), 0755);
  for (const char* name : {"/hosts", "/hostname", "/resolv.conf"}) {
    const Status written = WriteFileAtomically(own + name, "", 0644, Durability::kVolatile);
    if (!written) Die("container files");
  }
  std::vector<Fd> cgroups;
  std::vector<int> cgroup_fds;
  for (const std::string& hierarchy : machine.hierarchies) {
    const std::string path = hierarchy + "/" + machine.name + "/" + std::to_string(number);
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) Die(path.c_str());
    cgroups.push_back(OpenFile(path + "/cgroup.procs", O_WRONLY).value());
    cgroup_fds.push_back(cgroups.back().get());
  }
  Pipe ready = MakePipe().value();
  Pipe go = MakePipe().value();
  Box box;
  clone_args args = {};
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD |
               (machine.options.network ? CLONE_NEWNET : 0);
  args.pidfd = reinterpret_cast<uint64_t>(&box.pidfd);
  args.exit_signal = SIGCHLD;
  box.pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (box.pid < 0) Die("clone3");
  if (box.pid == 0) RunInside(machine, own, ready.write.get(), go.read.get(), cgroup_fds);
  if (machine.options.network) {
    const Fd inside_namespace =
        OpenFile("/proc/" + std::to_string(box.pid) + "/ns/net", O_RDONLY).value();
    const std::string host_name =
        "fl" + std::to_string(::getpid() % 100000) + "x" + std::to_string(number);
    // A thread of its own enters the namespace, so that this one stays outside.
    std::thread([&] {
      if (::setns(inside_namespace.get(), CLONE_NEWNET) != 0) Die("setns");
      const Fd inside = OpenRoutingSocket();
      MakeVeth(inside.get(), machine.host_namespace, host_name, machine.group);
      if (::setns(machine.host_namespace, CLONE_NEWNET) != 0) Die("setns");
      const Fd outside = OpenRoutingSocket();
      SetUp(outside.get(), ::if_nametoindex(host_name.c_str()), machine.bridge);
      const uint32_t eth0 = [&] {
        if (::setns(inside_namespace.get(), CLONE_NEWNET) != 0) Die("setns");
        return ::if_nametoindex("eth0");
      }();
      SetUp(inside.get(), 1, 0);
      AddAddress(inside.get(), eth0, static_cast<uint32_t>(number + 2));
      SetUp(inside.get(), eth0, 0);
    }).join();
  }
  char byte = 0;
  if (::read(ready.read.get(), &byte, 1) != 1 || ::write(go.write.get(), "g", 1) != 1) {
    Die("container");
  }
  return box;
}

void StopBox(const Box& box) {
  ::kill(box.pid, SIGKILL);
  ::waitpid(box.pid, nullptr, 0);
  ::close(box.pidfd);
}

std::vector<std::string> CgroupMounts() {
  std::vector<std::string> mounts;
  const std::string table = ReadFile("/proc/self/mounts").value();
  for (const std::string_view line : Split(table, '\n')) {
    const auto words = SplitWords(line);
    if (words.size() > 2 && words[2].starts_with("cgroup")) mounts.emplace_back(words[1]);
  }
  return mounts;
}

double MillisecondsSince(BootTime start) {
  return std::chrono::duration<double, std::milli>(Now() - start).count();
}

void Measure(const Machine& machine, int threads, int first) {
  std::vector<Box> boxes(static_cast<size_t>(machine.options.count));
  const BootTime start = Now();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (int i = t; i < machine.options.count; i += threads) {
        boxes[static_cast<size_t>(i)] = StartBox(machine, first + i);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  const double up = MillisecondsSince(start);
  const BootTime stop = Now();
  for (const Box& box : boxes) StopBox(box);
  const double down = MillisecondsSince(stop);
  std::printf("%d threads: %d containers up in %.1f ms (%.2f ms each), killed in %.1f ms\n",
              threads, machine.options.count, up, up / machine.options.count, down);
}

int Run(const Options& options) {
  Machine machine;
  machine.options = options;
  machine.name = "skiff-floor-" + std::to_string(::getpid());
  machine.folder = options.root + "/" + machine.name;
  machine.hierarchies = CgroupMounts();
  machine.group = 0x5f000000u | static_cast<uint32_t>(::getpid());
  for (const char* name : {"/lower/bin", "/lower/etc", "/lower/proc", "/lower/dev", "/lower/sys"}) {
    if (!MakeDirectories(machine.folder + name, 0755)) Die("folder");
  }
  const std::string program = ReadFile(options.program).value();
  if (!WriteFileAtomically(machine.folder + "/lower/bin/busybox", program, 0755,
                           Durability::kVolatile)) {
    Die("program");
  }
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    if (!WriteFileAtomically(machine.folder + "/lower/etc/" + name, "", 0644,
                             Durability::kVolatile)) {
      Die("file");
    }
  }
  for (const std::string& hierarchy : machine.hierarchies) {
    const std::string path = hierarchy + "/" + machine.name;
    if (::mkdir(path.c_str(), 0755) != 0) Die(path.c_str());
    // An empty v1 cpuset accepts no process.
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
      const auto value = ReadFile(hierarchy + "/" + file);
      if (!value || hierarchy.find("cpuset") == std::string::npos) continue;
      const auto target = OpenFile(path + "/" + file, O_WRONLY);
      if (!target || !WriteAll(target->get(), Trim(*value), file)) Die(file);
      const auto clone = OpenFile(path + "/cgroup.clone_children", O_WRONLY);
      if (!clone || !WriteAll(clone->get(), "1", file)) Die("clone_children");
    }
  }
  const Fd host = OpenFile("/proc/self/ns/net", O_RDONLY).value();
  machine.host_namespace = host.get();
  const Fd routing = OpenRoutingSocket();
  const std::string bridge = "skfl" + std::to_string(::getpid() % 1000000);
  if (options.network) machine.bridge = MakeBridge(routing.get(), bridge);
  Measure(machine, 1, 0);
  Measure(machine, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())),
          options.count);
  if (options.network) {
    Request remove(RTM_DELLINK, 0);
    ifinfomsg info = {};
    info.ifi_index = static_cast<int>(machine.bridge);
    remove.Body(info);
    MustSend(remove, routing.get(), "delete bridge");
  }
  for (const std::string& hierarchy : machine.hierarchies) {
    const std::string path = hierarchy + "/" + machine.name;
    for (int i = 0; i < 2 * options.count; ++i) ::rmdir((path + "/" + std::to_string(i)).c_str());
    if (::rmdir(path.c_str()) != 0) std::fprintf(stderr, "floor: %s is left\n", path.c_str());
  }
  if (const Status removed = RemoveTree(machine.folder); !removed) {
    std::fprintf(stderr, "floor: %s\n", removed.error().Text().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace skiff::floor

int main(int argc, char** argv) {
  skiff::floor::Options options;
  options.root = "/var/tmp";
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--count") {
      options.count = skiff::ParseNumber<int>(value).value_or(0);
      ++i;
    } else if (flag == "--no-network") {
      options.network = false;
    } else if (flag == "--root") {
      options.root = value;
      ++i;
    } else if (flag == "--program") {
      options.program = value;
      ++i;
    } else {
      std::fprintf(stderr,
                   "usage: floor [--count N] [--no-network] [--root FOLDER] [--program PATH]\n");
      return 2;
    }
  }
  if (options.count < 1) {
    std::fprintf(stderr, "floor: --count takes a number from 1\n");
    return 2;
  }
  return skiff::floor::Run(options);
}
