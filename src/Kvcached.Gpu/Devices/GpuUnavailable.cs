using System.Collections.Immutable;

namespace Kvcached.Gpu.Devices;

/// <summary>Why no GPU can be used.</summary>
public enum GpuUnavailableReason
{
    /// <summary>No driver library could be loaded.</summary>
    DriverNotFound,

    /// <summary>The driver lacks a function that is needed.</summary>
    DriverTooOld,

    /// <summary>The driver is there, but doesn't start.</summary>
    DriverFailed,

    /// <summary>The driver sees no GPU.</summary>
    NoDevice,

    /// <summary>There are GPUs, but not the one asked for.</summary>
    DeviceNotFound,

    /// <summary>The GPU can't map memory by handle, or share it by file descriptor.</summary>
    NotSupported,

    /// <summary>What was asked for makes no sense.</summary>
    BadRequest,
}

/// <summary>A typed "no GPU", with what was tried and what to do.</summary>
/// <param name="Reason">The kind of problem.</param>
/// <param name="Text">A sentence or two for the user.</param>
/// <param name="Candidates">The libraries that were looked for, in order; empty when a library was found.</param>
public sealed record GpuUnavailable(GpuUnavailableReason Reason, string Text, ImmutableArray<string> Candidates)
{
    public GpuUnavailable(GpuUnavailableReason reason, string text)
        : this(reason, text, [])
    {
    }

    public override string ToString() => Text;
}
