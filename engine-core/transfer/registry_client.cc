#include "engine-core/transfer/registry_client.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine::transfer {
namespace {

Result<Fd> Nameless() {
  Fd file(::memfd_create("skiff-transfer", MFD_CLOEXEC));
  if (!file) return FailErrno("cannot make a file in memory");
  return file;
}

}  // namespace

Result<RegistryClient> RegistryClient::Open(const std::string& program,
                                            const RegistryOpening& opening) {
  SKIFF_ASSIGN(Process process, Process::Start(program));
  SKIFF_TRY(SendMessage(process.channel(), EncodeOpening(opening), {}));
  return RegistryClient(std::move(process));
}

Result<RegistryAnswer> RegistryClient::Do(const RegistryRequest& request, int fd,
                                          const std::function<void(int64_t)>& progress) {
  const int descriptors[] = {fd};
  SKIFF_TRY(SendMessage(process_.channel(), EncodeRegistryRequest(request),
                        std::span<const int>(descriptors, fd < 0 ? 0 : 1)));
  while (true) {
    SKIFF_ASSIGN(const ReceivedMessage message,
                 ReceiveMessage(process_.channel(), kMaximumMessage));
    if (message.data.empty()) {
      return Fail(Code::kUnavailable, "skiff-transfer ended before it was done");
    }
    SKIFF_ASSIGN(RegistryAnswer answer, DecodeRegistryAnswer(message.data));
    if (!answer.progress) return answer;
    if (progress) progress(answer.current);
  }
}

Result<RegistryAnswer> RegistryClient::Send(const RegistryRequest& request,
                                            const std::string& body) {
  SKIFF_ASSIGN(const Fd file, Nameless());
  SKIFF_TRY(WriteAll(file.get(), body, "a file in memory"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read a file in memory");
  return Do(request, file.get());
}

Result<RegistryAnswer> RegistryClient::Receive(const RegistryRequest& request, std::string* body,
                                               size_t limit) {
  SKIFF_ASSIGN(const Fd file, Nameless());
  SKIFF_ASSIGN(RegistryAnswer answer, Do(request, file.get()));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read a file in memory");
  SKIFF_ASSIGN(*body, ReadAll(file.get(), limit, "what the registry sent"));
  return answer;
}

}  // namespace skiff::engine::transfer
