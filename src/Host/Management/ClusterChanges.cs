using Akka.Actor;
using Akka.Cluster;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Akka Management's changes of the cluster: joining, leaving, downing. What comes of them shows in the list of members.</summary>
internal sealed class ClusterChanges(ActorSystem system, ClusterReader reader)
{
    private readonly Cluster _cluster = Cluster.Get(system);

    /// <summary>Has this host join the cluster of another.</summary>
    public IResult Join(string? address)
    {
        if (string.IsNullOrWhiteSpace(address) || !TryParse(address, out var parsed))
        {
            return ProblemMapping.BadRequest($"'address' must be the address of a host, such as akka.tcp://{KvcachedNames.ActorSystem}@127.0.0.1:8550.");
        }

        _cluster.Join(parsed);
        return Said($"Joining {parsed}");
    }

    /// <summary>Has a member leave.</summary>
    public IResult Leave(string address) => WithMember(address, member =>
    {
        _cluster.Leave(member);
        return Said($"Leaving {member}");
    });

    /// <summary>Carries out an operation on a member, as Akka Management names them.</summary>
    public IResult Change(string address, string? operation) => WithMember(address, member =>
    {
        switch (operation?.Trim().ToUpperInvariant())
        {
            case "LEAVE":
                _cluster.Leave(member);
                return Said($"Leaving {member}");
            case "DOWN":
                _cluster.Down(member);
                return Said($"Downing {member}");
            default:
                return ProblemMapping.BadRequest($"'operation' is '{operation}'; allowed: Leave, Down.");
        }
    });

    private IResult WithMember(string address, Func<Address, IResult> change) =>
        reader.FindMember(address) is { } member ? change(Address.Parse(member.Node)) : ProblemMapping.MemberNotFound(address);

    private bool TryParse(string text, out Address address)
    {
        var full = text.Contains("://", StringComparison.Ordinal) ? text : $"{_cluster.SelfAddress.Protocol}://{text}";
        try
        {
            address = Address.Parse(full);
            return address.System == system.Name && address.Protocol == _cluster.SelfAddress.Protocol && address is { Host.Length: > 0, Port: > 0 };
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or UriFormatException)
        {
            address = Address.AllSystems;
            return false;
        }
    }

    private static IResult Said(string message) => Results.Json(new ClusterMessageView(message), ManagementJsonContext.Default.ClusterMessageView);
}
