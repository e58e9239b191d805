using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Kvcached.Gpu.Native;

/// <summary>Finds the shared libraries that the bindings name, in a fixed order, and remembers what it found.</summary>
internal static class NativeLibraries
{
    internal const string Cuda = "cuda";
    internal const string Nvml = "nvidia-ml";
    internal const string Libc = "libc";

    /// <summary>Driver-only containers often lack the unversioned link, so the versioned name comes first.</summary>
    internal static readonly ImmutableArray<string> CudaCandidates = ["libcuda.so.1", "libcuda.so", "nvcuda"];

    internal static readonly ImmutableArray<string> NvmlCandidates = ["libnvidia-ml.so.1", "libnvidia-ml.so", "nvml"];

    private static readonly ImmutableArray<string> LibcCandidates = ["libc.so.6", "libc"];

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, nint> Loaded = [];

    [ModuleInitializer]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "CA2255", Justification = "A resolver can be set once per assembly and must be there before the first call.")]
    internal static void Register() =>
        NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, static (name, _, _) => TryLoad(name, out var handle) ? handle : 0);

    /// <summary>Loads a library by its name in the bindings; a library that was missing is looked for again next time.</summary>
    internal static bool TryLoad(string name, out nint handle)
    {
        var candidates = name switch
        {
            Cuda => CudaCandidates,
            Nvml => NvmlCandidates,
            Libc => LibcCandidates,
            _ => [],
        };

        lock (Gate)
        {
            if (Loaded.TryGetValue(name, out handle))
            {
                return true;
            }

            foreach (var candidate in candidates)
            {
                if (NativeLibrary.TryLoad(candidate, out handle))
                {
                    Loaded[name] = handle;
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>The first of these functions that a loaded library lacks, or null.</summary>
    internal static string? FindMissingExport(nint handle, ReadOnlySpan<string> exports)
    {
        foreach (var export in exports)
        {
            if (!NativeLibrary.TryGetExport(handle, export, out _))
            {
                return export;
            }
        }

        return null;
    }
}
