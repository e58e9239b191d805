using System.Text.Json.Serialization;

namespace Kvcached.Core.Contracts;

/// <summary><c>GET /alive</c> and <c>GET /ready</c>.</summary>
/// <param name="Status"><c>alive</c>, <c>ready</c> or <c>notReady</c>.</param>
/// <param name="Reasons">Why it isn't ready; empty when it is.</param>
public sealed record HealthView(string Status, IReadOnlyList<string> Reasons);

/// <summary>The one line that a host prints once it serves.</summary>
/// <param name="Event"><c>ready</c>.</param>
/// <param name="Gpu">The device it serves.</param>
/// <param name="Domain">Its domain.</param>
/// <param name="Port">Port of Akka.Remote.</param>
/// <param name="ManagementPort">Port of the management HTTP.</param>
/// <param name="AkkaManagementPort">Port of Akka.Management's own routes; null when they aren't served.</param>
/// <param name="Pid">Process id.</param>
/// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
/// <param name="CapacityBytes">What it may lend.</param>
/// <param name="Socket">Path of the Unix socket for engines.</param>
public sealed record ReadyEvent(
    string Event, string Gpu, string Domain, int Port, int ManagementPort, int? AkkaManagementPort, int Pid, string Backend, long CapacityBytes, string Socket)
{
    /// <summary>The file with the token that changes through the management HTTP need; readable by this user only.</summary>
    public string TokenFile { get; init; } = string.Empty;
}

/// <summary>A problem as RFC 9457 has it.</summary>
/// <param name="Type">Names the kind of problem for programs; stable.</param>
/// <param name="Title">The kind of problem for people.</param>
/// <param name="Status">The HTTP status.</param>
/// <param name="Detail">What failed, on what, what to do.</param>
public sealed record ProblemView(string Type, string Title, int Status, string Detail)
{
    /// <summary>For a change that came too late: number of the change that is in force.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Revision { get; init; }
}
