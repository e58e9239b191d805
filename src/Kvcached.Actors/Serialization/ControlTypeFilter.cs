using System.Collections.Frozen;
using System.Text.RegularExpressions;
using Hyperion;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Lets Hyperion load and write the listed types only. Names are compared without version, culture and key of their assemblies, in which
/// the name of a type and the name that Hyperion puts on the wire differ.
/// </summary>
internal sealed partial class ControlTypeFilter : ITypeFilter
{
    public static ControlTypeFilter Instance { get; } = new();

    private readonly FrozenSet<string> _allowed =
        KnownControlTypes.InOrder
            .Concat(ControlSurrogates.Types)
            .Concat(WireTypes.ControlListItems.Select(item => item.MakeArrayType()))
            .Select(type => Normalize(type.AssemblyQualifiedName!))
            .ToFrozenSet(StringComparer.Ordinal);

    private ControlTypeFilter()
    {
    }

    public bool IsAllowed(string typeName) => typeName is not null && _allowed.Contains(Normalize(typeName));

    private static string Normalize(string typeName) => AssemblyDetails().Replace(typeName, string.Empty);

    // "%core%" is Hyperion's abbreviation for the details of the core library.
    [GeneratedRegex(@",\s*(?:(?:Version|Culture|PublicKeyToken)=[^,\]]*|%core%)", RegexOptions.CultureInvariant)]
    private static partial Regex AssemblyDetails();
}
