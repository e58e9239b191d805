namespace Kvcached.Host.Startup;

/// <summary>Why the host can't start: what failed, on what, what to do about it.</summary>
internal sealed record StartFailure(HostExitCode ExitCode, string Message);

/// <summary>Either what was started or why it wasn't.</summary>
internal readonly record struct StartResult<T>(T? Value, StartFailure? Failure)
    where T : class
{
    public static implicit operator StartResult<T>(T value) => new(value, null);

    public static implicit operator StartResult<T>(StartFailure failure) => new(null, failure);

    public bool IsFailed(out StartFailure failure, out T value)
    {
        failure = Failure!;
        value = Value!;
        return Failure is not null;
    }
}
