// The program as a whole: help, version, unknown words, completion and the manual page.
#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace wiretape {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Seen {
  int status;
  std::string out, err;
};

Seen run(const Arguments& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_command_line(arguments);
  std::fflush(stdout);
  std::string out = testing::internal::GetCapturedStdout();
  return {status, out, testing::internal::GetCapturedStderr()};
}

TEST(Program, HelpNamesEverySubcommandOnStandardOutput) {
  const Seen seen = run({"--help"});
  EXPECT_EQ(seen.status, exit_status::done);
  EXPECT_EQ(seen.err, "");
  for (const Command& command : commands()) {
    EXPECT_THAT(seen.out, HasSubstr("\n  " + std::string(command.name) + " "));
  }
}

TEST(Program, WithoutASubcommandSaysHowToUseItAndFails) {
  const Seen seen = run({});
  EXPECT_EQ(seen.status, exit_status::usage);
  EXPECT_EQ(seen.out, "");
  EXPECT_THAT(seen.err, StartsWith("usage: wiretape"));
}

TEST(Program, UnknownSubcommandIsRefusedWithWhatWasMeant) {
  const Seen seen = run({"reply", "session.tape"});
  EXPECT_EQ(seen.status, exit_status::usage);
  EXPECT_EQ(seen.err, "wiretape: unknown command reply (did you mean replay?)\n");
  EXPECT_EQ(run({"banana"}).err, "wiretape: unknown command banana (see wiretape --help)\n");
}

TEST(Program, VersionWithoutItsDashesIsToldApart) {
  EXPECT_EQ(run({"version"}).err, "wiretape: unknown command version (did you mean --version?)\n");
}

TEST(Program, TargetOfAReplayHasOtherNamesInOtherTools) {
  for (const char* name : {"--upstream", "-t"}) {
    EXPECT_THAT(run({"replay", "t.tape", name, ":1"}).err, HasSubstr("did you mean --target?"));
  }
}

TEST(Program, SpeedThatIsNoneIsToldWhatOneIs) {
  for (const char* speed : {"2x", "0", "fast"}) {
    EXPECT_THAT(run({"replay", "t.tape", "--target", ":1", "--speed", speed}).err,
                HasSubstr("a number above 0, or max"));
  }
}

TEST(Program, SubcommandOfALaterVersionIsSaidToBeOne) {
  const Seen seen = run({"export", "session.tape"});
  EXPECT_EQ(seen.status, exit_status::usage);
  EXPECT_EQ(seen.err, "wiretape: export is not in this version\n");
}

TEST(Program, EverySubcommandHasHelpWithTwoExamples) {
  for (const Command& command : commands()) {
    const Seen seen = run({std::string(command.name), "--help"});
    const std::string name(command.name);
    EXPECT_EQ(seen.status, exit_status::done) << name;
    EXPECT_EQ(seen.err, "") << name;
    EXPECT_THAT(seen.out, StartsWith("usage: wiretape " + name));
    size_t examples = 0;
    for (size_t at = 0; (at = seen.out.find("\n  # ", at)) != std::string::npos; ++at) ++examples;
    EXPECT_GE(examples, 2u) << name;
  }
}

TEST(Program, HelpFitsIn100Columns) {
  for (const Command& command : commands()) {
    const std::string text = run({std::string(command.name), "--help"}).out;
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      EXPECT_LE(end - begin, 100u) << text.substr(begin, end - begin);
    }
  }
}

TEST(Program, MistypedFlagOfASubcommandIsOneLineOnStandardError) {
  const Seen seen = run({"record", "--lisen", ":0"});
  EXPECT_EQ(seen.status, exit_status::usage);
  EXPECT_EQ(seen.out, "");
  EXPECT_EQ(seen.err, "wiretape: unknown flag --lisen (did you mean --listen?)\n");
}

TEST(Program, CompletionKnowsEverySubcommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Seen seen = run({"completion", shell});
    EXPECT_EQ(seen.status, exit_status::done);
    EXPECT_THAT(seen.out, HasSubstr("record replay show stat verify"));
    EXPECT_THAT(seen.out, Not(HasSubstr("@NAMES@")));
  }
  EXPECT_EQ(run({"completion", "csh"}).status, exit_status::usage);
}

TEST(Program, CompletionWordsComeFromTheTable) {
  EXPECT_THAT(run({"show", "--describe=words"}).out, HasSubstr("--connection\tN\t"));
  EXPECT_THAT(run({"show", "--describe=words"}).out, HasSubstr("--color\tauto|always|never\t"));
}

TEST(Program, ManualPageHasEverySubcommand) {
  const std::string page = run({"help", "--man"}).out;
  EXPECT_THAT(page, StartsWith(".TH WIRETAPE 1"));
  for (const Command& command : commands()) {
    EXPECT_THAT(page, HasSubstr("\n.SS wiretape " + std::string(command.name)));
  }
  EXPECT_THAT(page, HasSubstr(".B \\-\\-connection N\n"));
}

TEST(Program, HelpOfASubcommandCanBeAskedForInWords) {
  EXPECT_EQ(run({"help", "show"}).out, run({"show", "--help"}).out);
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
}

}  // namespace
}  // namespace wiretape
