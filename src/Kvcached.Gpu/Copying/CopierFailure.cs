namespace Kvcached.Gpu.Copying;

/// <summary>Why a call to a copier gave no result.</summary>
/// <param name="Message">What failed, on what, and what to do.</param>
public abstract record CopierFailure(string Message);

/// <summary>The copier refused; nothing has changed.</summary>
public sealed record CopierRefused(CopierRefusal Reason, string Message) : CopierFailure(Message);

/// <summary>What was asked can't be asked, for example with a closed handle; nothing was sent.</summary>
public sealed record CopierCallInvalid(string Message) : CopierFailure(Message);

/// <summary>
/// The reply didn't come in time. What was asked may still be done later: of memory that may still be mapped, only
/// <see cref="CopierClient.DisposeAsync"/> makes sure that it no longer is.
/// </summary>
public sealed record CopierDeadlineExceeded(string Message) : CopierFailure(Message);

/// <summary>There is no copier (any more); its mappings went with it. Start another.</summary>
/// <param name="Message">What failed.</param>
/// <param name="ExitCode">Exit code of its process, 128 + n when signal n ended it; null when there never was one or it isn't known.</param>
/// <param name="LastErrorLine">What it wrote last to its standard error, if anything.</param>
public sealed record CopierUnavailable(string Message, int? ExitCode, string? LastErrorLine) : CopierFailure(Message);
