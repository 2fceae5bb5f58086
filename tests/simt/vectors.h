// CUDA's short vectors and their make_ functions, aligned as on the device.
#pragma once

#define SIMT_VECTOR2(name, T)             \
  struct alignas(2 * sizeof(T)) name##2 { \
    T x, y;                               \
  };                                      \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }
#define SIMT_VECTOR3(name, T) \
  struct name##3 {            \
    T x, y, z;                \
  };                          \
  SIMT_MAKE3(name, T)
#define SIMT_MAKE3(name, T) \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }
#define SIMT_VECTOR4(name, T)                                       \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { \
    T x, y, z, w;                                                   \
  };                                                                \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

SIMT_VECTOR2(char, signed char)
SIMT_VECTOR2(uchar, unsigned char)
SIMT_VECTOR2(short, short)
SIMT_VECTOR2(ushort, unsigned short)
SIMT_VECTOR2(int, int)
SIMT_VECTOR2(uint, unsigned)
SIMT_VECTOR2(longlong, long long)
SIMT_VECTOR2(ulonglong, unsigned long long)
SIMT_VECTOR2(float, float)
SIMT_VECTOR2(double, double)
SIMT_VECTOR3(int, int)
SIMT_MAKE3(uint, unsigned)  // uint3 is in cudart_api.h
SIMT_VECTOR3(float, float)
SIMT_VECTOR4(char, signed char)
SIMT_VECTOR4(uchar, unsigned char)
SIMT_VECTOR4(short, short)
SIMT_VECTOR4(ushort, unsigned short)
SIMT_VECTOR4(int, int)
SIMT_VECTOR4(uint, unsigned)
SIMT_VECTOR4(float, float)

#undef SIMT_VECTOR2
#undef SIMT_VECTOR3
#undef SIMT_MAKE3
#undef SIMT_VECTOR4
