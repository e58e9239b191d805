namespace Kvcached.Gpu.Copying;

/// <summary>The kind of memory that a copier maps.</summary>
public enum CopierBackend : byte
{
    /// <summary>Memory of the machine, as memfds.</summary>
    Host = 1,

    /// <summary>Memory of a GPU, through the CUDA driver.</summary>
    Cuda = 2,
}
