#include "base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <vector>

namespace skiff {
namespace {

using std::chrono::milliseconds;

TEST(EventLoop, CallsBackForReadableDescriptors) {
  const auto loop = EventLoop::Create().value();
  const Pipe pipe = MakePipe().value();
  std::string got;
  ASSERT_TRUE(loop->Add(pipe.read.get(), EPOLLIN, [&](uint32_t) {
    char c = 0;
    ASSERT_EQ(::read(pipe.read.get(), &c, 1), 1);
    got += c;
    if (got.size() == 2) loop->Stop();
  }));
  ASSERT_TRUE(WriteAll(pipe.write.get(), "ab", "pipe"));
  ASSERT_TRUE(loop->Run());
  EXPECT_EQ(got, "ab");
}

TEST(EventLoop, FiresTimersInOrderAndNotTheCancelled) {
  const auto loop = EventLoop::Create().value();
  std::vector<int> fired;
  const BootTime start = Now();
  loop->AddTimer(start + milliseconds(4), [&] {
    fired.push_back(2);
    loop->Stop();
  });
  loop->AddTimer(start + milliseconds(1), [&] { fired.push_back(1); });
  const auto cancelled = loop->AddTimer(start + milliseconds(2), [&] { fired.push_back(99); });
  loop->CancelTimer(cancelled);
  ASSERT_TRUE(loop->Run());
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
  EXPECT_GE(Now() - start, milliseconds(4));
}

TEST(EventLoop, OneThatWasStoppedBeforeDoesNotRun) {
  auto loop = EventLoop::Create();
  ASSERT_TRUE(loop);
  (*loop)->Stop();
  EXPECT_TRUE((*loop)->Run());
}

TEST(EventLoop, ACallbackMayRemoveAnother) {
  const auto loop = EventLoop::Create().value();
  const Pipe a = MakePipe().value();
  const Pipe b = MakePipe().value();
  int calls = 0;
  const auto handler = [&](uint32_t) {
    ++calls;
    loop->Remove(a.read.get());
    loop->Remove(b.read.get());
    loop->Stop();
  };
  ASSERT_TRUE(loop->Add(a.read.get(), EPOLLIN, handler));
  ASSERT_TRUE(loop->Add(b.read.get(), EPOLLIN, handler));
  ASSERT_TRUE(WriteAll(a.write.get(), "x", "pipe"));
  ASSERT_TRUE(WriteAll(b.write.get(), "x", "pipe"));
  ASSERT_TRUE(loop->Run());
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace skiff
