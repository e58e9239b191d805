namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>A rule that must hold after every step doesn't; says which and where.</summary>
internal sealed class BrokenRuleException(string message) : Exception(message);
