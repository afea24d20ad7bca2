// What a finished run says for itself: the first line, and whether it may count as a success.
#include "replayer/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wiretape {
namespace {

using testing::HasSubstr;
using testing::Not;

RunReport run_of(uint64_t same) {
  RunReport report;
  report.tally.requests_scheduled = report.tally.requests_sent = same;
  report.verdicts.same = same;
  return report;
}

TEST(Report, EverythingTheSameIsSaidFirst) {
  EXPECT_THAT(summary_of(run_of(3)), HasSubstr("\nall the same: same 3, different 0, errors 0\n"));
}

TEST(Report, WhatCouldNotBeComparedIsNotTheSame) {
  RunReport report = run_of(3);
  report.verdicts.not_compared["damaged_tape"] = 1;
  report.tally.not_sent["damaged_tape"] = 1;
  EXPECT_THAT(summary_of(report), HasSubstr("the same as far as compared: same 3, different 0"));
  EXPECT_THAT(summary_of(report), Not(HasSubstr("all the same")));
  EXPECT_FALSE(nothing_compared(report));
  EXPECT_FALSE(left_unsent(report));  // the tape lacks it
}

TEST(Report, NothingComparedIsNamedWithWhy) {
  RunReport report;
  EXPECT_TRUE(nothing_compared(report));
  EXPECT_THAT(summary_of(report),
              HasSubstr("nothing was compared: the tape has nothing to send\n"));
  report.verdicts.not_compared["tls"] = 1;
  EXPECT_THAT(summary_of(report), HasSubstr("nothing was compared: only tls 1\n"));
  report.compared = false;
  EXPECT_FALSE(nothing_compared(report));
}

TEST(Report, TlsIsLeftUnsentAndTheAdviceIsOfThisVersion) {
  RunReport report;
  report.tally.not_sent["tls"] = 1;
  EXPECT_TRUE(left_unsent(report));
  EXPECT_THAT(summary_of(report), HasSubstr("record where the traffic is in clear"));
  EXPECT_THAT(summary_of(report), Not(HasSubstr("--tls-cert")));
}

TEST(Report, OneIsNotMany) {
  RunReport report = run_of(1);
  report.tally.connections = report.tally.responses = report.tally.gates_by_quiet = 1;
  EXPECT_THAT(summary_of(report), HasSubstr("sent 1 of 1 request on 1 connection in"));
  EXPECT_THAT(summary_of(report), HasSubstr(", 1 response\n1 turn was taken for over"));
}

TEST(Report, LatenessNamesTheProgramAndJsonKeepsItsKey) {
  RunReport report = run_of(1);
  report.tally.add_lateness(1000, Cause::us);
  EXPECT_THAT(summary_of(report), HasSubstr("  wiretape (1 send) "));
  EXPECT_THAT(json_of(report), HasSubstr("\"us\": {"));
}

}  // namespace
}  // namespace wiretape
