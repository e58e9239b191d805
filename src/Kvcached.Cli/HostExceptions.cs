namespace Kvcached.Cli;

/// <summary>No host answered, or what answered is none.</summary>
internal sealed class HostUnreachableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The host answered with a problem.</summary>
internal sealed class HostRefusedException(string message) : Exception(message);
