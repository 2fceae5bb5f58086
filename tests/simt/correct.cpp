// Checks of the correct kernels against plain loops.
#include "correct.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "kernels_correct.h"

namespace correct {
namespace {

using Floats = std::vector<float>;

/// A device copy of a vector.
template <class T>
struct Copy {
  T* data = nullptr;
  size_t n;
  explicit Copy(const std::vector<T>& host) : n(host.size()) {
    cudaMalloc(&data, n * sizeof(T));
    cudaMemcpy(data, host.data(), n * sizeof(T), cudaMemcpyHostToDevice);
  }
  Copy(const Copy&) = delete;
  ~Copy() { cudaFree(data); }
  std::vector<T> read() const {
    std::vector<T> host(n);
    cudaMemcpy(host.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost);
    return host;
  }
};

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A... args) {
  cudaLaunchConfig_t config{grid, block, shared, nullptr, nullptr, 0};
  cudaLaunchKernelEx(&config, kernel, args...);
}

Floats noise(size_t n, unsigned seed) {
  Floats v(n);
  for (auto& x : v) x = float((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 23) - 1;
  return v;
}

int wrong = 0;

template <class T>
void compare(const char* name, int n, const std::vector<T>& got, const std::vector<T>& want) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); i++) {
    double error = std::fabs(double(got[i]) - double(want[i])) / (1 + std::fabs(double(want[i])));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  if (worst <= 1e-4) return;
  std::printf("%s, n = %d: wrong by %g\n", name, n, worst);
  wrong++;
}

void check_softmax(int n) {
  int rows = 3;
  Floats x = noise(size_t(rows) * n, 1), want(x.size());
  Copy<float> dx(x), dy(want);
  launch(softmax, dim3(rows), dim3(n > 256 ? 256 : 64), 0, dx.data, dy.data, n);
  for (int r = 0; r < rows; r++) {
    double s = 0;
    for (int i = 0; i < n; i++) s += std::exp(double(x[r * n + i]));
    for (int i = 0; i < n; i++) want[r * n + i] = float(std::exp(double(x[r * n + i])) / s);
  }
  compare("softmax", n, dy.read(), want);
}

void check_layernorm(int n) {
  int rows = 5;
  size_t size = size_t(rows) * n;
  Floats x = noise(size, 2), dy = noise(size, 3), gamma = noise(n, 4);
  Floats dx(size), dgamma(n), dbeta(n);
  Copy<float> a(dy), b(x), c(gamma), d(dx), e(dgamma), f(dbeta);
  launch(layernorm_backward, dim3(2), dim3(128), 2 * n * sizeof(float), a.data, b.data, c.data,
         d.data, e.data, f.data, rows, n);
  for (int r = 0; r < rows; r++) {
    const float *xr = &x[size_t(r) * n], *dyr = &dy[size_t(r) * n];
    double mean = 0, q = 0, s1 = 0, s2 = 0;
    for (int i = 0; i < n; i++) mean += xr[i] / double(n);
    for (int i = 0; i < n; i++) q += (xr[i] - mean) * (xr[i] - mean) / n;
    double rstd = 1 / std::sqrt(q + 1e-5);
    for (int i = 0; i < n; i++) {
      double h = (xr[i] - mean) * rstd, g = dyr[i] * gamma[i];
      s1 += g / n, s2 += g * h / n;
      dgamma[i] += float(dyr[i] * h), dbeta[i] += dyr[i];
    }
    for (int i = 0; i < n; i++)
      dx[size_t(r) * n + i] = float(rstd * (dyr[i] * gamma[i] - s1 - (xr[i] - mean) * rstd * s2));
  }
  if (n > 1) compare("layernorm_backward, dx", n, d.read(), dx);  // n = 1 is 0 times infinity
  compare("layernorm_backward, dgamma", n, e.read(), dgamma);
  compare("layernorm_backward, dbeta", n, f.read(), dbeta);
}

void check_matmul(int n) {
  int m = n > 100 ? 7 : n, k = n > 100 ? 65 : n;
  Floats a = noise(size_t(m) * k, 5), b = noise(size_t(k) * n, 6), c(size_t(m) * n);
  Copy<float> da(a), db(b), dc(c);
  launch(matmul, dim3((n + 15) / 16, (m + 15) / 16), dim3(16, 16), 0, da.data, db.data, dc.data, m,
         n, k);
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++)
      for (int l = 0; l < k; l++) c[size_t(i) * n + j] += a[i * k + l] * b[size_t(l) * n + j];
  compare("matmul", n, dc.read(), c);
}

void check_attention(int n) {
  n = n > 100 ? 131 : n;
  Floats q = noise(n * 32, 7), k = noise(n * 32, 8), v = noise(n * 32, 9), y(n * 32);
  Copy<float> dq(q), dk(k), dv(v), dy(y);
  launch(attention, dim3((n + 3) / 4), dim3(128), 0, dq.data, dk.data, dv.data, dy.data, n);
  for (int i = 0; i < n; i++) {
    double sum = 0;
    std::vector<double> out(32);
    for (int j = 0; j <= i; j++) {
      double s = 0;
      for (int d = 0; d < 32; d++) s += double(q[i * 32 + d]) * k[j * 32 + d];
      sum += std::exp(s);
      for (int d = 0; d < 32; d++) out[d] += std::exp(s) * v[j * 32 + d];
    }
    for (int d = 0; d < 32; d++) y[i * 32 + d] = float(out[d] / sum);
  }
  compare("attention", n, dy.read(), y);
}

void check_histogram(int n) {
  std::vector<int> x(n), counts(16);
  for (int i = 0; i < n; i++) x[i] = i * i % 16;
  Copy<int> dx(x), dc(counts);
  launch(histogram, dim3((n + 127) / 128), dim3(128), 0, dx.data, dc.data, n);
  for (int i : x) counts[i]++;
  compare("histogram", n, dc.read(), counts);
}

void check_normalise(int n) {
  constexpr int blocks = 6;
  Floats x = noise(n, 10);
  for (auto& v : x) v += 2;
  Copy<float> dx(x), parts(Floats(blocks, 0));
  Copy<unsigned> counter(std::vector<unsigned>{0});
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{dim3(blocks), dim3(64), 0, nullptr, &attribute, 1};
  cudaLaunchKernelEx(&config, normalise, dx.data, parts.data, counter.data, n);
  double sum = 0;
  for (float v : x) sum += v;
  for (auto& v : x) v = float(v / sum);
  compare("normalise", n, dx.read(), x);
}

}  // namespace

int check_all() {
  wrong = 0;
  for (int n : {1, 31, 96, 1003}) {
    check_softmax(n);
    check_layernorm(n);
    check_matmul(n);
    check_attention(n);
    check_histogram(n);
    check_normalise(n);
  }
  if (cudaError_t error = cudaGetLastError()) {
    std::printf("%s\n", cudaGetErrorName(error));
    wrong++;
  }
  return wrong != 0;
}

}  // namespace correct
