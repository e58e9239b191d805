using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Engines of other users: who is let in, and what they see. For real, so only where the tests may change the user.</summary>
public sealed class OtherUserTests : IDisposable
{
    private const string Shape = "layers=2 pages=32";
    private const int Group = 1;

    private const UnixFileMode OpenToAll = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-users-");

    public OtherUserTests() => File.SetUnixFileMode(_directory.FullName, OpenToAll);

    private string Socket => Path.Combine(_directory.FullName, "engine.sock");

    public void Dispose() => _directory.Delete(recursive: true);

    [SkippableFact]
    public async Task A_user_who_is_not_admitted_should_be_refused()
    {
        await RequireOtherUserAsync();
        await using (var closed = await EngineDomain.StartAsync(hosts: 1, "--socket", Socket))
        {
            await closed.StartProbe(Privileges.AsOtherUser()).RefusedAsync("NotAllowed", $"open-session socket={Socket} timeout=5");
            await closed.StartProbe(Privileges.AsOtherUser()).RefusedAsync("NotAllowed", closed.AttachCommand("pool", 0) + " timeout=5");
        }

        // Here the file lets everyone in, and the host itself says no.
        await using var domain = await EngineDomain.StartAsync(hosts: 1, "--socket", Socket, "--allow-uid", "65533");
        var stranger = domain.StartProbe(Privileges.AsOtherUser());
        var text = await stranger.RefusedAsync("NotAllowed", $"open-session socket={Socket} timeout=5");
        Assert.Contains($"--allow-uid {Privileges.OtherUser}", text, StringComparison.Ordinal);
        await stranger.RefusedAsync("NotAllowed", domain.AttachCommand("pool", 0) + " timeout=5");
    }

    [SkippableFact]
    public async Task Members_of_the_group_should_be_let_in_and_others_not()
    {
        await RequireOtherUserAsync();
        Skip.IfNot(File.ReadLines("/etc/group").Any(line => line.StartsWith("daemon:x:1:", StringComparison.Ordinal)), "There is no group 'daemon'.");
        await using var domain = await EngineDomain.StartAsync(hosts: 1, "--socket", Socket, "--socket-group", "daemon");
        await domain.StartProbe(Privileges.AsOtherUser()).RefusedAsync("NotAllowed", $"open-session socket={Socket} timeout=5");
        await domain.StartProbe(Privileges.AsOtherUser(Group)).DoAsync($"open-session socket={Socket}");
        string[] supplementary = ["setpriv", $"--reuid={Privileges.OtherUser}", $"--regid={Privileges.OtherUser}", $"--groups={Group}"];
        await domain.StartProbe(supplementary).DoAsync($"open-session socket={Socket}");
    }

    [SkippableFact]
    public async Task An_admitted_user_should_be_served_and_see_no_pool_of_others()
    {
        await RequireOtherUserAsync();
        await using var domain = await EngineDomain.StartAsync(hosts: 1, "--socket", Socket, "--allow-uid", $"{Privileges.OtherUser}");
        var own = await domain.StartSchedulerAsync("own");
        await own.DoAsync(domain.OpenPoolCommand("own", Shape));
        await domain.StartWorkersAsync("own");
        await own.GrantedAsync("grow pool=own pages=2");

        var other = await domain.StartSchedulerAsync("other", Privileges.AsOtherUser());
        var worker = domain.StartProbe(Privileges.AsOtherUser());
        await worker.RefusedAsync("UnknownPool", domain.AttachCommand("own", 0) + " timeout=1");
        await other.RefusedAsync("NameInUse", domain.OpenPoolCommand("own", Shape));
        await other.DoAsync(domain.OpenPoolCommand("other", Shape));
        await domain.StartProbe().RefusedAsync("UnknownPool", domain.AttachCommand("other", 0) + " timeout=1");
        await worker.DoAsync(domain.AttachCommand("other", 0));
        var blocks = BlocksOf(await other.GrantedAsync("allocate pool=other count=40"));
        await worker.DoAsync($"write version=1 blocks={List(blocks)}");
        Assert.Equal(0, (await worker.DoAsync($"verify version=1 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());

        // Nor does a pool that waits for its next scheduler pass to another user.
        await own.KillAsync();
        await other.RefusedAsync("NameInUse", domain.OpenPoolCommand("own", Shape));
        var successor = await domain.StartSchedulerAsync("own");
        await successor.UntilAsync(domain.OpenPoolCommand("own", Shape), answer => answer.GetProperty("ok").GetBoolean());
        Assert.Equal(2, (await successor.DoAsync("pool-stats pool=own")).GetProperty("mappedPages").GetInt32());
    }

    private static async Task RequireOtherUserAsync()
    {
        var obstacle = await Privileges.FindObstacleAsync(Privileges.AsOtherUser());
        Skip.IfNot(obstacle is null, obstacle);
    }
}
