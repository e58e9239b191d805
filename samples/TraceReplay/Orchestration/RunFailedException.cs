namespace Kvcached.TraceReplay.Orchestration;

/// <summary>A run can't begin or go on; the message says what failed, on what, and what to do.</summary>
internal sealed class RunFailedException(string message) : Exception(message);
