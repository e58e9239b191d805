#!/usr/bin/env bash
# Makes stamps.ptx from stamps.cu with clang alone, no CUDA toolkit. Run it after a change of stamps.cu and commit both.
# With the toolkit, `nvcc -ptx -arch=sm_70 stamps.cu` makes another text of the same kernels.
set -euo pipefail
cd "$(dirname "$0")"

# What the toolkit's headers would define, as far as the kernels use it.
shim=$(mktemp --suffix=.h)
trap 'rm -f "$shim"' EXIT
cat > "$shim" <<'SHIM'
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __forceinline__ inline __attribute__((always_inline))
struct KvcIndex { unsigned x; };
#define blockIdx (KvcIndex{(unsigned)__nvvm_read_ptx_sreg_ctaid_x()})
#define blockDim (KvcIndex{(unsigned)__nvvm_read_ptx_sreg_ntid_x()})
#define gridDim (KvcIndex{(unsigned)__nvvm_read_ptx_sreg_nctaid_x()})
#define threadIdx (KvcIndex{(unsigned)__nvvm_read_ptx_sreg_tid_x()})
static __device__ inline void atomicAdd(unsigned long long* p, unsigned long long v) { __nvvm_atom_add_gen_ll((long long*)p, (long long)v); }
static __device__ inline void atomicMin(unsigned long long* p, unsigned long long v) { __nvvm_atom_min_gen_ull(p, v); }
SHIM

"${CLANG:-clang}" -x cuda --cuda-device-only --cuda-gpu-arch=sm_70 -nocudainc -nocudalib -nogpulib \
  -Wno-unknown-cuda-version -Xclang -target-feature -Xclang +ptx70 -include "$shim" -O2 -S stamps.cu -o stamps.ptx
# The compiler's own name and version make no difference to the kernels.
sed -i -E '/^\/\/ *(Generated|\.version|$)/d; s/[[:space:]]+$//' stamps.ptx
