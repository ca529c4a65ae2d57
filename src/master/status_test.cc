// What the master says of its job, and how people read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "master/service_testing.h"
#include "master/text.h"

namespace headrace::master {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServiceTest;
using testing::SmallJob;

class StatusTest : public ServiceTest {};

TEST_F(StatusTest, WhoHasLeftWaitsForNothing) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  const v1::JoinReply joined = Join(caller.get(), "w-0");
  v1::ExchangeRequest request = ExchangeOf(joined);
  request.mutable_telemetry()->set_steps(3);
  request.mutable_telemetry()->set_waits_for("its checkpoint");
  request.mutable_telemetry()->set_waiting_ms(50);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  EXPECT_EQ(GetStatus().workers(0).waits_for(), "its checkpoint");

  v1::LeaveRequest leave;
  leave.set_worker(joined.worker());
  leave.set_reason("killed by signal 9 (KILL)");
  v1::LeaveReply left;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Leave, leave, &left).ok());
  const v1::WorkerStatus gone = GetStatus().workers(0);
  EXPECT_EQ(gone.state(), "gone");
  EXPECT_EQ(gone.telemetry().steps(), 3) << "its figures stay";
  EXPECT_EQ(gone.waits_for(), "");
  EXPECT_EQ(gone.telemetry().waits_for(), "");
  EXPECT_EQ(gone.telemetry().waiting_ms(), 0);
}

TEST_F(StatusTest, WhatATaskFailedWithIsToldAtOnce) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  const v1::JoinReply joined = Join(caller.get(), "w-0");
  v1::ExchangeRequest request = ExchangeOf(joined);
  request.set_request(1);
  request.set_max_tasks(1);
  request.set_main(true);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  ASSERT_EQ(reply.grants_size(), 1);
  EXPECT_EQ(GetStatus().trouble(), "");

  v1::ExchangeRequest failed = ExchangeOf(joined);
  v1::Report* report = failed.add_reports();
  report->set_token(reply.grants(0).token());
  report->set_end(v1::LEASE_END_FAILED);
  report->set_error("DATA_LOSS: a.txt: byte 7: damaged\nand more");
  report->set_culprit(-1);
  v1::ExchangeReply settled;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, failed, &settled).ok());
  ASSERT_EQ(settled.refused_size(), 0) << settled.refused(0).message();
  const v1::JobStatus status = GetStatus();
  EXPECT_EQ(status.trouble(), "w-0: DATA_LOSS: a.txt: byte 7: damaged\nand more");
  EXPECT_THAT(Text(status), HasSubstr("failed   and tried again: w-0: DATA_LOSS: a.txt: byte 7: "
                                      "damaged ... (more in its log)\n"));
}

TEST(StatusText, OfAnErrorOfManyLinesTheFirstOne) {
  v1::JobStatus status;
  v1::WorkerStatus* worker = status.add_workers();
  worker->set_name("w-0");
  worker->set_last_exit(
      "ABORTED: the model is loaded again: \n=====\nUNAVAILABLE: From /job:worker");
  EXPECT_THAT(Text(status),
              HasSubstr("last exit: ABORTED: the model is loaded again ... (more in its log)\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("=====")));
  worker->set_last_exit("exit code 3");
  EXPECT_THAT(Text(status), HasSubstr("last exit: exit code 3\n"));
}

}  // namespace
}  // namespace headrace::master
