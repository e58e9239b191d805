namespace Kvcached.Cli;

/// <summary>No host answered, or what answered is none.</summary>
internal sealed class HostUnreachableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What was typed, or a file that was named, makes no sense.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The host answered with a problem.</summary>
internal sealed class HostRefusedException(string message) : Exception(message);
