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
[JsonSerializable(typeof(LimitOutcomeView))]
[JsonSerializable(typeof(TrimOutcomeView))]
[JsonSerializable(typeof(DrainView))]
[JsonSerializable(typeof(DashboardView))]
[JsonSerializable(typeof(DomainEventView))]
[JsonSerializable(typeof(ClusterMessageView))]
[JsonSerializable(typeof(MemberEventView))]
public sealed partial class ManagementJsonContext : JsonSerializerContext;

/// <summary>What the management HTTP is sent: a name that isn't known is a mistake, and what isn't given isn't written.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(LimitChangeView))]
[JsonSerializable(typeof(TrimChangeView))]
public sealed partial class ChangeJsonContext : JsonSerializerContext;

/// <summary>The same for the line of a host that is ready, in which absent values are left out.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ReadyEvent))]
public sealed partial class HostJsonContext : JsonSerializerContext;
