using System.Text.Json.Serialization;

namespace Kvcached.Core.Contracts;

/// <summary>Reads and writes everything that the management HTTP speaks, without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ClusterMembersView))]
[JsonSerializable(typeof(SeedNodesView))]
[JsonSerializable(typeof(PoolsView))]
[JsonSerializable(typeof(GpuView[]))]
[JsonSerializable(typeof(HealthView))]
[JsonSerializable(typeof(ProblemView))]
public sealed partial class ManagementJsonContext : JsonSerializerContext;

/// <summary>The same for the line of a host that is ready, in which absent values are left out.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ReadyEvent))]
public sealed partial class HostJsonContext : JsonSerializerContext;
