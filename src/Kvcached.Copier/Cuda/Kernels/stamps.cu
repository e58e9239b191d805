// The kernels of the copier. They compute what Kvcached.Core.Checking computes, bit for bit; a change there is a change here.
// stamps.ptx is made from this file by build-ptx.sh, and is what the copier loads.

typedef unsigned int u32;
typedef unsigned long long u64;

// What the copier puts into device memory, field by field as in KernelTypes.cs.
struct Stamp { u32 block; u32 version; u32 whole; u32 unused; };
struct Lane { u64 arenaOffset; u64 stride; u64 place; };      // place: layer in the upper half, buffer in the lower
struct Finding { u64 mismatches; u64 first; };                // first: lane index << 40 | word index, the lowest; else all ones

static const u64 kWordBytes = 8;
static const u64 kSampleWords = 4096 / kWordBytes;
static const u32 kWarp = 32;

static __device__ __forceinline__ u64 mix(u64 word)
{
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ull;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBull;
    return word ^ (word >> 31);
}

static __device__ __forceinline__ u64 laneKey(u64 groupKey, const Stamp& stamp, const Lane& lane)
{
    return mix(mix(groupKey ^ ((u64)stamp.block << 32 | stamp.version)) ^ lane.place);
}

static __device__ __forceinline__ u64 placeCount(u64 words, bool whole)
{
    if (whole) return words;
    u64 samples = (words + kSampleWords - 1) / kSampleWords;
    return samples + ((words - 1) % kSampleWords == 0 ? 0 : 1);
}

static __device__ __forceinline__ u64 wordOf(u64 place, u64 words, bool whole)
{
    if (whole) return place;
    return place * kSampleWords < words ? place * kSampleWords : words - 1;
}

// One warp handles one layer and buffer (lane) of one stamped block; warps stride over all of them.
static __device__ __forceinline__ u64 firstItem() { return ((u64)blockIdx.x * blockDim.x + threadIdx.x) / kWarp; }
static __device__ __forceinline__ u64 itemStep() { return (u64)gridDim.x * blockDim.x / kWarp; }

extern "C" __global__ void kvc_stamp(
    u64 arena, const Stamp* stamps, u64 stampCount, const Lane* lanes, u64 laneCount, u64 groupKey, u64 blockBytes)
{
    const u64 words = (blockBytes + kWordBytes - 1) / kWordBytes;
    const bool aligned = blockBytes % kWordBytes == 0;
    for (u64 item = firstItem(); item < stampCount * laneCount; item += itemStep())
    {
        const Stamp stamp = stamps[item / laneCount];
        const Lane lane = lanes[item % laneCount];
        const u64 start = arena + lane.arenaOffset + stamp.block * lane.stride;
        const u64 key = laneKey(groupKey, stamp, lane);
        const u64 places = placeCount(words, stamp.whole != 0);
        for (u64 place = threadIdx.x % kWarp; place < places; place += kWarp)
        {
            const u64 word = wordOf(place, words, stamp.whole != 0);
            const u64 value = mix(key ^ word);
            const u64 address = start + word * kWordBytes;
            if (aligned)
            {
                *(volatile u64*)address = value;
                continue;
            }

            const u64 left = blockBytes - word * kWordBytes;
            for (u64 i = 0; i < kWordBytes && i < left; i++)
            {
                *(volatile unsigned char*)(address + i) = (unsigned char)(value >> (8 * i));
            }
        }
    }
}

extern "C" __global__ void kvc_verify(
    u64 arena, const Stamp* stamps, u64 stampCount, const Lane* lanes, u64 laneCount, u64 groupKey, u64 blockBytes, Finding* findings)
{
    const u64 words = (blockBytes + kWordBytes - 1) / kWordBytes;
    const bool aligned = blockBytes % kWordBytes == 0;
    for (u64 item = firstItem(); item < stampCount * laneCount; item += itemStep())
    {
        const Stamp stamp = stamps[item / laneCount];
        const u64 laneIndex = item % laneCount;
        const Lane lane = lanes[laneIndex];
        const u64 start = arena + lane.arenaOffset + stamp.block * lane.stride;
        const u64 key = laneKey(groupKey, stamp, lane);
        const u64 places = placeCount(words, stamp.whole != 0);
        u64 mismatches = 0;
        u64 first = ~0ull;
        for (u64 place = threadIdx.x % kWarp; place < places; place += kWarp)
        {
            const u64 word = wordOf(place, words, stamp.whole != 0);
            const u64 left = blockBytes - word * kWordBytes;
            const u64 address = start + word * kWordBytes;
            u64 expected = mix(key ^ word);
            u64 found = 0;
            if (aligned)
            {
                found = *(const volatile u64*)address;
            }
            else
            {
                if (left < kWordBytes) expected &= (1ull << (8 * left)) - 1;
                for (u64 i = 0; i < kWordBytes && i < left; i++)
                {
                    found |= (u64)*(const volatile unsigned char*)(address + i) << (8 * i);
                }
            }

            if (found != expected)
            {
                if (mismatches == 0) first = laneIndex << 40 | word;
                mismatches++;
            }
        }

        if (mismatches != 0)
        {
            Finding* finding = findings + item / laneCount;
            atomicAdd(&finding->mismatches, mismatches);
            atomicMin(&finding->first, first);
        }
    }
}

// Adds the words from address on to *sum; firstIndex is the position of the first of them within the extent.
extern "C" __global__ void kvc_checksum(u64 address, u64 wordCount, u64 firstIndex, u64* sum)
{
    u64 own = 0;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < wordCount; i += (u64)gridDim.x * blockDim.x)
    {
        own += mix(*(const volatile u64*)(address + i * kWordBytes) ^ mix(firstIndex + i));
    }

    if (own != 0) atomicAdd(sum, own);
}
