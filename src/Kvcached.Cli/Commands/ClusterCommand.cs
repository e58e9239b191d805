using Kvcached.Core.Contracts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl cluster</c></summary>
internal sealed class ClusterCommand() : HostCommand<ClusterMembersView>("/cluster/members", ManagementJsonContext.Default.ClusterMembersView)
{
    protected override IEnumerable<IRenderable> Render(ClusterMembersView view)
    {
        yield return Line($"{view.Members.Count} members, {view.Unreachable.Count} unreachable; asked {view.SelfNode}");
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
        }

        if (view.Unreachable.FirstOrDefault(member => member.Node == node) is { } unreachable)
        {
            yield return $"unreachable for {unreachable.ObservedBy.Count} members";
        }
    }
}
