using System.Diagnostics.CodeAnalysis;
using Kvcached.Actors.Protocols;

namespace Kvcached.Host.Management;

/// <summary>The coordinator's picture of the domain, or why there is none.</summary>
internal readonly record struct DomainAnswer(DomainProtocol.DomainDescription? Description, string Problem)
{
    public bool IsAbsent([NotNullWhen(false)] out DomainProtocol.DomainDescription? description)
    {
        description = Description;
        return description is null;
    }
}
