#include "netmgr/firewall/nftables.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>

#include <cerrno>

#include "base/text.h"

namespace skiff::net {

struct Nftables::Library {
  void* handle = nullptr;
  decltype(&nft_ctx_new) ctx_new = nullptr;
  decltype(&nft_ctx_free) ctx_free = nullptr;
  decltype(&nft_ctx_buffer_output) buffer_output = nullptr;
  decltype(&nft_ctx_buffer_error) buffer_error = nullptr;
  decltype(&nft_ctx_get_output_buffer) output = nullptr;
  decltype(&nft_ctx_get_error_buffer) error = nullptr;
  decltype(&nft_ctx_output_set_flags) set_flags = nullptr;
  decltype(&nft_run_cmd_from_buffer) run = nullptr;

  template <typename Function>
  bool Resolve(const char* name, Function* function) {
    *function = reinterpret_cast<Function>(::dlsym(handle, name));
    return *function != nullptr;
  }
};

Nftables::Nftables(std::unique_ptr<Library> library) : library_(std::move(library)) {}

Nftables::~Nftables() {
  // The library stays loaded: a command ends soon, and unloading takes as long as loading.
  if (context_ != nullptr) library_->ctx_free(context_);
}

Result<std::unique_ptr<Nftables>> Nftables::Load() {
  auto library = std::make_unique<Library>();
  library->handle = ::dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) {
    return Fail(Error(Code::kUnsupported, "cannot load libnftables.so.1")
                    .With("networks need it: install the package libnftables1"));
  }
  Library& l = *library;
  const bool whole = l.Resolve("nft_ctx_new", &l.ctx_new) &&
                     l.Resolve("nft_ctx_free", &l.ctx_free) &&
                     l.Resolve("nft_ctx_buffer_output", &l.buffer_output) &&
                     l.Resolve("nft_ctx_buffer_error", &l.buffer_error) &&
                     l.Resolve("nft_ctx_get_output_buffer", &l.output) &&
                     l.Resolve("nft_ctx_get_error_buffer", &l.error) &&
                     l.Resolve("nft_ctx_output_set_flags", &l.set_flags) &&
                     l.Resolve("nft_run_cmd_from_buffer", &l.run);
  if (!whole) return Fail(Code::kUnsupported, "libnftables.so.1 lacks a function");
  std::unique_ptr<Nftables> self(new Nftables(std::move(library)));
  self->context_ = self->library_->ctx_new(NFT_CTX_DEFAULT);
  if (self->context_ == nullptr) return Fail(Code::kSystem, "cannot start libnftables");
  if (self->library_->buffer_output(self->context_) != 0 ||
      self->library_->buffer_error(self->context_) != 0) {
    return Fail(Code::kExhausted, "cannot start libnftables: no memory");
  }
  return self;
}

Status Nftables::RunWith(unsigned flags, const std::string& commands) {
  library_->set_flags(context_, flags);
  errno = 0;
  if (library_->run(context_, commands.c_str()) == 0) return {};
  const int cause = errno;
  const char* const said = library_->error(context_);
  Error error(CodeOfErrno(cause == 0 ? EINVAL : cause), "cannot change the firewall", cause);
  if (said != nullptr && *said != '\0') error.notes.push_back({std::string(Trim(said)), {}});
  return tl::unexpected(std::move(error));
}

Status Nftables::Run(const std::string& commands) {
  return RunWith(0, commands);
}

Result<std::string> Nftables::List(const std::string& command) {
  SKIFF_TRY(RunWith(NFT_CTX_OUTPUT_JSON, command));
  const char* const text = library_->output(context_);
  return std::string(text == nullptr ? "" : text);
}

}  // namespace skiff::net
