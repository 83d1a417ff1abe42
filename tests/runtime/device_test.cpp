// Names of devices, and how many threads and cores there are.
#include "device.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "refusal.h"
#include "transfer.h"

namespace gradus {
namespace {

TEST(Device, NamesAreThoseOfDevicesThatAreHere) {
  EXPECT_TRUE(resolve_device("cpu").is_cpu());
  EXPECT_EQ(refusal([] { resolve_device("gpu"); }, Exit::usage),
            "device 'gpu' is unknown; expected cpu, cuda, cuda:N, mps or xpu");
  for (int times = 0; times < 2; ++times)
    EXPECT_EQ(refusal([] { resolve_device("mps"); }, Exit::usage),
              "device 'mps' is not available here: this LibTorch or this machine has no mps; expected cpu");
}

TEST(Device, ThreadsAreAsManyAsWereAskedFor) {
  const int before = threads();
  for (const int count : {2, 1}) {
    set_threads(count);
    EXPECT_EQ(threads(), count);
    EXPECT_EQ(at::get_num_threads(), count);
  }
  set_threads(before);
  EXPECT_EQ(refusal([] { set_threads(0); }, Exit::usage), "threads: expected a count from 1 to 1024; got 0");
  EXPECT_EQ(refusal([] { set_threads(1025); }, Exit::usage), "threads: expected a count from 1 to 1024; got 1025");
}

TEST(Device, CoresAreThoseThatThisProcessMayUse) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(cores(), CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(cores(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

TEST(Device, ATensorOfTheCpuIsWhereItShallBe) {
  const at::Tensor x = at::arange(3, at::kFloat).requires_grad_(), there = Transfer(x).wait();
  EXPECT_EQ(there.const_data_ptr(), x.const_data_ptr());
  EXPECT_FALSE(there.requires_grad());
}

}  // namespace
}  // namespace gradus
