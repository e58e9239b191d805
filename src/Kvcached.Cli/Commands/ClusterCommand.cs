using Kvcached.Core.Contracts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl cluster</c></summary>
internal sealed class ClusterCommand() : HostCommand<ClusterMembersView>("/cluster/members", ManagementJsonContext.Default.ClusterMembersView)
{
    protected override IEnumerable<IRenderable> Render(ClusterMembersView view)
    {
        yield return Line($"{Output.Count(view.Members.Count, "member")}, {view.Unreachable.Count} unreachable; asked {view.SelfNode}");
        var table = CreateTable("address", "status", "roles", "remarks");
        foreach (var member in view.Members)
        {
            table.AddRow(Cell(member.Node), Cell(member.Status), Cell(string.Join(", ", member.Roles)), Cell(string.Join(", ", Remarks(view, member.Node))));
        }

        yield return table;
    }

    private static IEnumerable<string> Remarks(ClusterMembersView view, string node)
    {
        if (node == view.Leader)
        {
            yield return "leader";
        }

        if (node == view.Oldest)
        {
            yield return "oldest";

            // Where the singleton is.
            yield return "coordinates";
        }

        if (view.Unreachable.FirstOrDefault(member => member.Node == node) is { } unreachable)
        {
            yield return $"unreachable for {Output.Count(unreachable.ObservedBy.Count, "member")}";
        }
    }
}
