// The fastest rate at which this core multiplies and adds floats in registers: FLOP/s on standard output.
#include <stdio.h>
#include <time.h>

#ifdef __AVX512F__
enum { kLanes = 16 };
#else
enum { kLanes = 8 };
#endif
typedef float Vector __attribute__((vector_size(kLanes * 4)));

int main(void) {
  enum { kChains = 12, kTurns = 20000000 };
  Vector sums[kChains] = {{0}};
  Vector a = {1.0f}, b = {0.5f};
  double best = 0;
  for (int trial = 0; trial < 5; ++trial) {
    const clock_t start = clock();
    for (int i = 0; i < kTurns / 5; ++i) {
#pragma GCC unroll 12
      for (int j = 0; j < kChains; ++j) sums[j] = sums[j] * a + b;
      __asm__ volatile("" : "+x"(a), "+x"(b));
    }
    const double rate = 2.0 * kLanes * kChains * (kTurns / 5) / ((double)(clock() - start) / CLOCKS_PER_SEC);
    if (rate > best) best = rate;
  }
  float total = 0;
  for (int j = 0; j < kChains; ++j) total += sums[j][0];
  printf("%.0f\n", total == 12345 ? 0 : best);
  return 0;
}
