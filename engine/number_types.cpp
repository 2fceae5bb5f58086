#include "engine/number_types.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace retort {
namespace {

template <class T>
T raw(const char* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return x;
}
template <class T>
double number(const char* at) {
  return double(raw<T>(at));
}
double brain(const char* at) { return std::bit_cast<float>(uint32_t(raw<uint16_t>(at)) << 16); }
double half_of(int bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double x = exponent == 31  ? (fraction ? NAN : INFINITY)
             : exponent == 0 ? std::ldexp(fraction, -24)
                             : std::ldexp(fraction | 1024, exponent - 25);
  return bits >> 15 ? -x : x;
}
double half(const char* at) { return half_of(raw<uint16_t>(at)); }
// The types of 8 bits (Micikevicius et al. 2022; E8M0 of OCP's microscaling formats): E5M2 is the
// upper half of an F16, E4M3 has no infinities, E8M0 is a power of two.
double e5m2(const char* at) { return half_of(uint8_t(*at) << 8); }
double e4m3(const char* at) {
  int bits = uint8_t(*at), exponent = bits >> 3 & 15, fraction = bits & 7;
  double x = (bits & 127) == 127 ? NAN
             : exponent == 0     ? std::ldexp(fraction, -9)
                                 : std::ldexp(fraction | 8, exponent - 10);
  return bits >> 7 ? -x : x;
}
double e8m0(const char* at) {
  return uint8_t(*at) == 255 ? NAN : std::ldexp(1.0, uint8_t(*at) - 127);
}

}  // namespace

const std::vector<NumberType>& number_types() {
  static const std::vector<NumberType> types = {{"F32", 32, number<float>, Dtype::f32, true},
                                                {"F64", 64, number<double>, Dtype::f64, true},
                                                {"F16", 16, half, Dtype::f32, true},
                                                {"BF16", 16, brain, Dtype::f32, true},
                                                {"I32", 32, number<int32_t>, Dtype::i32, true},
                                                {"I64", 64, number<int64_t>, Dtype::i32, true},
                                                {"U8", 8, number<uint8_t>, Dtype::i32, true},
                                                {"BOOL", 8, number<uint8_t>, Dtype::i32, true},
                                                {"I8", 8, number<int8_t>, Dtype::i32},
                                                {"I16", 16, number<int16_t>, Dtype::i32},
                                                {"U16", 16, number<uint16_t>, Dtype::i32},
                                                {"U32", 32, number<uint32_t>, Dtype::i32},
                                                {"U64", 64, number<uint64_t>, Dtype::i32},
                                                {"F8_E4M3", 8, e4m3, Dtype::f32},
                                                {"F8_E5M2", 8, e5m2, Dtype::f32},
                                                {"F8_E8M0", 8, e8m0, Dtype::f32},
                                                {"F6_E2M3", 6, nullptr, Dtype::f32},
                                                {"F6_E3M2", 6, nullptr, Dtype::f32},
                                                {"F4", 4, nullptr, Dtype::f32},
                                                {"C64", 64, nullptr, Dtype::f32}};
  return types;
}

const NumberType* find_number_type(const std::string& name) {
  for (const NumberType& type : number_types())
    if (type.name == name) return &type;
  return nullptr;
}

}  // namespace retort
