using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Copying;

/// <summary>How a copier is started and how long it may take.</summary>
public sealed record CopierClientOptions
{
    /// <summary>The kind of memory that it maps.</summary>
    public required CopierBackend Backend { get; init; }

    /// <summary>The device that the memory is of.</summary>
    public required GpuId Gpu { get; init; }

    /// <summary>
    /// The program: an executable, or a <c>.dll</c> to be run by <c>dotnet</c>. Null looks for <c>kvcached-copier</c>, then
    /// <c>kvcached-copier.dll</c>, beside the calling program. Default null.
    /// </summary>
    public string? ProgramPath { get; init; }

    /// <summary>Time from starting the process to its first answer; a GPU's context takes seconds to make. Default 30 seconds.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time that one request may take, waiting for its turn included. Default 60 seconds.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Time that the process has for ending when it is told to, before it is killed. Default 5 seconds.</summary>
    public TimeSpan ExitTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The clock of the deadlines.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
