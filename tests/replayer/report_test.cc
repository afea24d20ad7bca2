// What a finished run says for itself: the first line, and whether it may count as a success.
#include "replayer/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

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
  report.first_unit_ns = 731'000'000;
  EXPECT_THAT(summary_of(report),
              HasSubstr("nothing was compared: nothing on the tape begins between --from and --to "
                        "(its first request is at 0.731 s)\n"));
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

TEST(Report, ARunThatWasCutOffSaysSo) {
  RunReport report = run_of(1);
  const std::string words = "ended before the tape was read to its end";
  EXPECT_THAT(summary_of(report), Not(HasSubstr(words)));
  EXPECT_THAT(json_of(report), HasSubstr("\"tape_read_to_end\": true"));
  report.read_to_end = false;
  EXPECT_THAT(summary_of(report), HasSubstr(words));
  EXPECT_THAT(json_of(report), HasSubstr("\"tape_read_to_end\": false"));
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

TEST(Report, ADifferenceIsOneLineThatSaysWhere) {
  RunReport report = run_of(1);
  Difference d;
  d.connection = 2;
  d.request = 17;
  d.method = "GET";
  d.url = "http://app/x";
  d.what = "status";
  d.recorded = "200";
  d.replayed = "500";
  report.verdicts.differences.push_back(d);
  d.what = "header";
  d.header = "etag";
  d.headers = 1;
  report.verdicts.differences.push_back(d);
  d.headers = 3;
  report.verdicts.differences.push_back(d);
  d.headers = 0;
  d.what = "body";
  d.path = "$.a";
  report.verdicts.differences.push_back(d);
  d.path = "";
  d.offset = 512;
  report.verdicts.differences.push_back(d);
  d.recorded_bytes = 1000;
  d.replayed_bytes = 1002;
  report.verdicts.differences.push_back(d);
  const std::string head = "\n  connection 2 request 17 GET http://app/x: ";
  EXPECT_THAT(summary_of(report),
              HasSubstr(head + "status 200 -> 500" +                   //
                        head + "header etag: 200 -> 500" +             //
                        head + "header etag and 2 more: 200 -> 500" +  //
                        head + "body $.a: 200 -> 500" +                //
                        head + "body at byte 512: 200 -> 500" +        //
                        head + "body at byte 512 (1000 -> 1002 bytes): 200 -> 500\n"));
}

TEST(Report, WhereADifferenceIsHasKeysOfItsOwn) {
  RunReport report = run_of(1);
  Difference d;
  d.what = "bytes";
  d.offset = 7;
  d.offset_is_exact = false;
  report.verdicts.differences.push_back(d);
  d.offset.reset();
  d.path = "$.a";
  report.verdicts.differences.push_back(d);
  const std::string json = json_of(report);
  EXPECT_THAT(json, HasSubstr("\"offset\": 7"));
  EXPECT_THAT(json, HasSubstr("\"offset_is_exact\": false"));
  EXPECT_THAT(json, HasSubstr("\"path\": \"$.a\""));
  EXPECT_THAT(json, Not(HasSubstr("\"part\"")));
  EXPECT_THAT(summary_of(report), HasSubstr("bytes within 64 KiB from byte 7: "));
}

TEST(Report, PartsAreNamedWhereThereAreSeveral) {
  RunReport report = run_of(1);
  report.parts = 2;
  Difference d;
  d.part = 1;
  d.connection = 3;
  d.what = "bytes";
  report.verdicts.differences.push_back(d);
  EXPECT_THAT(summary_of(report), HasSubstr("\n  part 1 connection 3: bytes"));
  EXPECT_THAT(json_of(report), HasSubstr("\"part\": 1"));
}

TEST(Report, TheRecordedLatencyStandsBesideTheReplayed) {
  RunReport report = run_of(1);
  report.tally.latency_recorded_ns.add(5'000'000);
  EXPECT_THAT(summary_of(report), HasSubstr("\nlatency as recorded "));
  EXPECT_THAT(json_of(report), HasSubstr("\"latency_recorded_ns\": {"));
}

TEST(Report, ASummaryFitsAScreen) {
  RunReport report = run_of(100);
  Difference d;
  d.what = "body";
  d.url = std::string(5000, 'x');
  d.method = "GET";
  d.recorded = d.replayed = std::string(200, 'y');
  for (int i = 0; i < 50; ++i) report.verdicts.differences.push_back(d);
  report.verdicts.different = 50;
  report.verdicts.status = {{200, 50}, {500, 50}};
  report.verdicts.not_compared["gap"] = report.tally.not_sent["gap"] = 1;
  for (size_t i = 0; i < causes; ++i) report.tally.add_lateness(1, static_cast<Cause>(i));
  report.tally.latency_due_ns.add(1);
  report.tally.latency_sent_ns.add(1);
  report.tally.latency_recorded_ns.add(1);
  const std::string summary = summary_of(report);
  EXPECT_LE(std::count(summary.begin(), summary.end(), '\n'), 25);
  EXPECT_LT(summary.size(), 25U * 320);
}

}  // namespace
}  // namespace wiretape
