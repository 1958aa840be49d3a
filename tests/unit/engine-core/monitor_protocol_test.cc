#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/wire.h"
#include "engine-core/monitor/protocol.h"

namespace skiff::engine::monitor {
namespace {

class ProtocolTest : public ::testing::Test {
 protected:
  ProtocolTest() {
    auto ends = MakeSocketPair(SOCK_SEQPACKET);
    ours_ = std::move(ends->first);
    theirs_ = std::move(ends->second);
  }
  Fd ours_;
  Fd theirs_;
};

TEST_F(ProtocolTest, ARequestComesBackAsItWas) {
  Request request;
  request.verb = Verb::kExec;
  request.args = {"sh", "-c", ""};
  request.environment = {"A=1", "B="};
  request.cwd = "/srv";
  request.user = "1:2";
  request.tty = true;
  request.rows = 24;
  request.columns = 80;
  request.timeout_ns = -1;
  Result<Pipe> pipe = MakePipe();
  ASSERT_TRUE(SendRequest(ours_.get(), request, {pipe->read.get(), -1, pipe->write.get()}));
  Result<std::optional<Request>> back = ReceiveRequest(theirs_.get(), 0);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ((*back)->verb, Verb::kExec);
  EXPECT_EQ((*back)->args, request.args);
  EXPECT_EQ((*back)->environment, request.environment);
  EXPECT_EQ((*back)->cwd, "/srv");
  EXPECT_EQ((*back)->timeout_ns, -1);
  EXPECT_EQ((*back)->columns, 80);
  EXPECT_TRUE((*back)->input.valid());
  EXPECT_FALSE((*back)->output.valid());
  EXPECT_TRUE((*back)->error.valid());
}

TEST_F(ProtocolTest, ALargeRequestTravelsInASealedFile) {
  Request request;
  request.verb = Verb::kExec;
  request.args = {std::string(1 << 20, 'x')};
  Result<Pipe> pipe = MakePipe();
  ASSERT_TRUE(SendRequest(ours_.get(), request, {pipe->read.get(), -1, -1}));
  Result<std::optional<Request>> back = ReceiveRequest(theirs_.get(), 0);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ((*back)->args, request.args);
  EXPECT_TRUE((*back)->input.valid());
}

TEST_F(ProtocolTest, APayloadThatCanChangeOrBlockIsRefused) {
  Result<Pipe> pipe = MakePipe();
  WireWriter message;
  message.Int(kTagVersion, 1);
  message.Bytes(kTagPayload, "");
  const int fds[] = {pipe->read.get()};
  ASSERT_TRUE(SendMessage(ours_.get(), message.data(), fds));
  EXPECT_EQ(ReceiveRequest(theirs_.get(), 0).error().code, Code::kInvalidArgument);
}

TEST_F(ProtocolTest, ATooLargeRequestIsRefused) {
  Request request;
  request.args = {std::string(5 << 20, 'x')};
  EXPECT_EQ(SendRequest(ours_.get(), request).error().code, Code::kInvalidArgument);
}

TEST_F(ProtocolTest, UnknownFieldsAreSkipped) {
  WireWriter message;
  message.Int(kTagVersion, 99);
  message.Int(kTagVerb, static_cast<int64_t>(Verb::kPing));
  message.Bytes(999, "from the future");
  ASSERT_TRUE(SendMessage(ours_.get(), message.data(), {}));
  Result<std::optional<Request>> back = ReceiveRequest(theirs_.get(), 0);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ((*back)->verb, Verb::kPing);
}

TEST_F(ProtocolTest, NonsenseIsRefused) {
  for (const std::string& text :
       {std::string("x"), std::string(100, '\xff'), std::string(6, '\0')}) {
    ASSERT_TRUE(SendMessage(ours_.get(), text, {}));
    EXPECT_EQ(ReceiveRequest(theirs_.get(), 0).error().code, Code::kInvalidArgument);
  }
  // A descriptor is announced and missing; a number does not fit.
  WireWriter role;
  role.Int(kTagVersion, 1);
  role.Int(kTagRole, kRoleInput);
  ASSERT_TRUE(SendMessage(ours_.get(), role.data(), {}));
  EXPECT_FALSE(ReceiveRequest(theirs_.get(), 0));
  WireWriter number;
  number.Int(kTagVersion, 1);
  number.Int(kTagRows, 1 << 20);
  ASSERT_TRUE(SendMessage(ours_.get(), number.data(), {}));
  EXPECT_FALSE(ReceiveRequest(theirs_.get(), 0));
}

TEST_F(ProtocolTest, AnAnswerComesBackAsItWas) {
  AnswerMessage answer;
  answer.answer = Answer::kError;
  answer.error = Error(Code::kFailedPrecondition, "not running", 7);
  answer.exit_code = 127;
  answer.rest_of_error = std::move(*MemoryFile("rest"));
  ASSERT_TRUE(SendAnswer(ours_.get(), answer, 0));
  Result<std::optional<AnswerMessage>> back = ReceiveAnswer(theirs_.get(), 0);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ((*back)->answer, Answer::kError);
  EXPECT_EQ((*back)->error->code, Code::kFailedPrecondition);
  EXPECT_EQ((*back)->error->message, "not running");
  EXPECT_EQ((*back)->exit_code, 127);
  EXPECT_FALSE((*back)->rest_of_output.valid());
  EXPECT_EQ(ReadAll((*back)->rest_of_error.get(), 100, "rest").value(), "rest");
}

TEST_F(ProtocolTest, TheEndOfThePeerIsNoMessage) {
  ours_.Reset();
  const Result<std::optional<Request>> request = ReceiveRequest(theirs_.get(), 0);
  ASSERT_TRUE(request);
  EXPECT_FALSE(*request);
}

}  // namespace
}  // namespace skiff::engine::monitor
